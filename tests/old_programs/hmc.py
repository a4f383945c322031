"""Hybrid Monte Carlo in the style of 2010: leapfrog steps in a scan, gradients inside it, an adapted step size."""

import numpy as np
import theano
import theano.tensor as TT
from theano import function, shared

floatX = theano.config.floatX


def shared_x(value, name):
    return shared(np.asarray(value, dtype=floatX), name=name)


def kinetic_energy(velocity):
    return 0.5 * (velocity**2).sum(axis=1)


def simulate_dynamics(position, velocity, stepsize, n_steps, energy_fn):
    def leapfrog(pos, vel, step):
        new_vel = vel - step * TT.grad(energy_fn(pos).sum(), pos)
        return [pos + step * new_vel, new_vel], {}

    half = velocity - 0.5 * stepsize * TT.grad(energy_fn(position).sum(), position)
    (positions, velocities), scan_updates = theano.scan(
        leapfrog,
        outputs_info=[dict(initial=position + stepsize * half), dict(initial=half)],
        non_sequences=[stepsize],
        n_steps=n_steps - 1,
    )
    assert not scan_updates
    last, last_velocity = positions[-1], velocities[-1]
    return last, last_velocity - 0.5 * stepsize * TT.grad(energy_fn(last).sum(), last)


def build(positions, energy_fn, n_steps=10, seed=12345, target_rate=0.9, slowness=0.9):
    stepsize, rate = shared_x(0.05, "stepsize"), shared_x(target_rate, "average acceptance rate")
    s_rng = TT.shared_randomstreams.RandomStreams(seed)
    velocity = s_rng.normal(size=positions.shape)
    proposed, new_velocity = simulate_dynamics(positions, velocity, stepsize, n_steps, energy_fn)
    before = energy_fn(positions) + kinetic_energy(velocity)
    after = energy_fn(proposed) + kinetic_energy(new_velocity)
    accept = (TT.exp(before - after) - s_rng.uniform(size=before.shape)) >= 0
    accepted = accept.dimshuffle(0, *(("x",) * (proposed.ndim - 1)))
    new_stepsize = TT.clip(TT.switch(rate > target_rate, stepsize * 1.02, stepsize * 0.98), 0.001, 0.5)
    mean_dtype = theano.scalar.upcast(accept.dtype, rate.dtype)
    new_rate = TT.add(slowness * rate, (1.0 - slowness) * accept.mean(dtype=mean_dtype))
    updates = [(positions, TT.switch(accepted, proposed, positions)), (stepsize, new_stepsize), (rate, new_rate)]
    return function([], [], updates=[(old, TT.cast(new, old.dtype)) for old, new in updates]), stepsize, rate


def sample(n_samples=400, burn_in=100, chains=20):
    mean = np.array([1.0, -2.0, 0.5], dtype=floatX)
    covariance = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, 0.3], [0.0, 0.3, 0.5]], dtype=floatX)
    inverse = np.asarray(np.linalg.inv(covariance), dtype=floatX)
    positions = shared_x(np.random.RandomState(3).randn(chains, 3), "positions")
    simulate, stepsize, rate = build(positions, lambda x: 0.5 * (TT.dot((x - mean), inverse) * (x - mean)).sum(axis=1))
    drawn = []
    for k in range(burn_in + n_samples):
        simulate()
        if k >= burn_in:
            drawn.append(positions.get_value(borrow=False))
    return np.concatenate(drawn), mean, covariance, float(stepsize.get_value()), float(rate.get_value())


if __name__ == "__main__":
    found = sample()
    print(found[0].mean(0), np.cov(found[0].T), found[3:])
