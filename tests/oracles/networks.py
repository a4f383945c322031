"""Oracles of ``nnet`` and ``signal``: activations, losses, normalisation, convolution, pooling."""

from __future__ import annotations

import numpy as np
from scipy import signal, special

import symc.tensor as T

from . import Table, draw, example, whole

nnet, pool = T.nnet, T.signal.pool
WIDE = np.array([-90.0, -20.0, -3.0, -1.0, -0.25, 0.25, 1.0, 3.0, 20.0, 90.0])
LOGITS, LABELS = draw(4, 5, low=-6, high=6), whole(4, high=5)
PROBABILITIES = special.softmax(LOGITS, 1).astype("float32").astype("float64")
TARGETS = special.softmax(draw(4, 5, seed=1), 1).astype("float32").astype("float64")
UNIT = draw(3, 4, low=0.05, high=0.95)
SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def theanos_sigmoid(x):
    """Three pieces for each sign, as Theano's ``ScalarUltraFastSigmoid``."""
    h = 0.5 * np.abs(x)
    z = np.where(
        h < 1.7,
        1.5 * h / (1 + h),
        np.where(h < 3, 0.935409070603099 + 0.0458812946797165 * (h - 1.7), 0.99505475368673),
    )
    return 0.5 * (np.where(x < 0, -z, z) + 1)


def cross_entropy(p, t):
    return -(special.xlogy(t, p) + special.xlog1py(1 - t, -p))


def confusion(actual, pred, n):
    counts = np.zeros((n, n), "int64")
    np.add.at(counts, (actual, pred), 1)
    return [counts, np.arange(n)]


def softmax(x, axis=-1):
    return special.softmax(x, axis)


ACTIVATIONS: Table = {
    "nnet.softmax_graph": [example(nnet.softmax_graph, softmax, LOGITS)],
    "nnet.relu": [
        example(nnet.relu, lambda x: np.maximum(x, 0), WIDE),
        example(lambda x: nnet.relu(x, 0.25), lambda x: np.where(x > 0, x, 0.25 * x), WIDE),
        example(nnet.relu, lambda x, a: np.where(x > 0, x, a * x), draw(3, 4), draw(4, low=-1, high=1)),
    ],
    "nnet.leaky_relu": [
        example(nnet.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), WIDE),
        example(lambda x: nnet.leaky_relu(x, 0.5), lambda x: np.where(x > 0, x, 0.5 * x), WIDE),
    ],
    "nnet.elu": [example(nnet.elu, elu, WIDE), example(lambda x: nnet.elu(x, 0.5), lambda x: elu(x, 0.5), WIDE)],
    "nnet.selu": [example(nnet.selu, lambda x: SELU[0] * elu(x, SELU[1]), WIDE)],
    "nnet.softsign": [example(nnet.softsign, lambda x: x / (1 + np.abs(x)), WIDE)],
    "nnet.hard_sigmoid": [example(nnet.hard_sigmoid, lambda x: np.clip(0.2 * x + 0.5, 0, 1), WIDE)],
    "nnet.ultra_fast_sigmoid": [example(nnet.ultra_fast_sigmoid, theanos_sigmoid, WIDE)],
    "nnet.sigmoid": [example(nnet.sigmoid, special.expit, WIDE)],
    "nnet.softplus": [example(nnet.softplus, lambda x: np.logaddexp(0, x), WIDE)],
    "nnet.softmax": [
        example(nnet.softmax, softmax, LOGITS),
        example(lambda x: nnet.softmax(x, axis=0), lambda x: softmax(x, 0), LOGITS),
        example(lambda x: nnet.softmax(x, axis=1), lambda x: softmax(x, 1), draw(2, 3, 4)),
    ],
    "nnet.logsoftmax": [
        example(nnet.logsoftmax, lambda x: special.log_softmax(x, -1), LOGITS * 30),
        example(lambda x: nnet.logsoftmax(x, axis=0), lambda x: special.log_softmax(x, 0), LOGITS),
    ],
    "nnet.logsumexp": [
        example(nnet.logsumexp, special.logsumexp, LOGITS * 30),
        example(lambda x: nnet.logsumexp(x, axis=0), lambda x: special.logsumexp(x, 0), LOGITS),
        example(
            lambda x: nnet.logsumexp(x, axis=1, keepdims=True), lambda x: special.logsumexp(x, 1, keepdims=True), LOGITS
        ),
    ],
}

LOSSES: Table = {
    "nnet.binary_crossentropy": [
        example(nnet.binary_crossentropy, cross_entropy, UNIT, draw(3, 4, low=0, high=1, seed=1)),
        example(nnet.binary_crossentropy, cross_entropy, [0.0, 1.0, 0.25, 1.0], [0.0, 1.0, 1.0, 0.0]),
    ],
    "nnet.sigmoid_binary_crossentropy": [
        example(
            nnet.sigmoid_binary_crossentropy,
            lambda x, t: np.logaddexp(0, x) - t * x,
            draw(3, 4) * 4,
            draw(3, 4, low=0, high=1, seed=1),
        ),
    ],
    "nnet.categorical_crossentropy": [
        example(nnet.categorical_crossentropy, lambda p, y: -np.log(p[np.arange(4), y]), PROBABILITIES, LABELS),
        example(nnet.categorical_crossentropy, lambda p, t: -(t * np.log(p)).sum(-1), PROBABILITIES, TARGETS),
    ],
    "nnet.crossentropy_categorical_1hot": [
        example(nnet.crossentropy_categorical_1hot, lambda p, y: -np.log(p[np.arange(4), y]), PROBABILITIES, LABELS),
    ],
    "nnet.crossentropy_softmax_1hot": [
        example(
            nnet.crossentropy_softmax_1hot,
            lambda x, y: [-special.log_softmax(x, 1)[np.arange(4), y], softmax(x)],
            LOGITS * 20,
            LABELS,
        ),
    ],
    "nnet.confusion_matrix": [
        example(nnet.confusion_matrix, lambda a, p: confusion(a, p, 4), [2, 0, 2, 3, 0, 1], [0, 0, 2, 2, 1, 2]),
        example(
            lambda a, p: nnet.confusion_matrix(a, p, 6), lambda a, p: confusion(a, p, 6), [2, 0, 2, 3], [0, 0, 2, 2]
        ),
    ],
}


def normalised(x, gamma, beta, mean, std):
    return gamma * (x - mean) / std + beta


def trained(x, gamma, beta, run_mean, run_var, over=(0, 2, 3)):
    """Output, mean, 1 / std and the new running averages of training; parameters have one axis, the second."""
    shape = (1, -1, 1, 1)
    m, v, n = x.mean(over), x.var(over), x.size / x.shape[1]
    invstd = 1 / np.sqrt(v + 1e-4)
    out = (x - m.reshape(shape)) * (gamma * invstd).reshape(shape) + beta.reshape(shape)
    return [out, m, invstd, 0.9 * run_mean + 0.1 * m, 0.9 * run_var + 0.1 * v * n / (n - 1)]


BATCH, PARAMETERS = draw(5, 3, 2, 4), [draw(3, low=0.5, seed=k) for k in range(4)]
NORMALISATION: Table = {
    "nnet.batch_normalization": [
        example(nnet.batch_normalization, normalised, draw(4, 3), *[draw(3, low=0.5, seed=k) for k in range(4)]),
    ],
    "nnet.batch_normalization_train": [
        example(
            lambda x, g, b, m, v: nnet.batch_normalization_train(x, g, b, "spatial", running_mean=m, running_var=v),
            trained,
            BATCH,
            *PARAMETERS,
        ),
        example(
            lambda x, g, b: nnet.batch_normalization_train(x, g, b, epsilon=0.5),
            lambda x, g, b: [
                normalised(x, g, b, x.mean(0), np.sqrt(x.var(0) + 0.5)),
                x.mean(0),
                1 / np.sqrt(x.var(0) + 0.5),
            ],
            draw(5, 3),
            *PARAMETERS[:2],
        ),
    ],
    "nnet.batch_normalization_test": [
        example(
            lambda *a: nnet.batch_normalization_test(*a, "spatial"),
            lambda x, *p: normalised(
                x, *(v.reshape(1, 3, 1, 1) for v in p[:3]), np.sqrt(p[3].reshape(1, 3, 1, 1) + 1e-4)
            ),
            BATCH,
            *PARAMETERS,
        ),
    ],
}


# --- convolution ------------------------------------------------------------------------------------------------------


def convolved(x, w, pad=((0, 0), (0, 0)), stride=(1, 1), dilation=(1, 1), flip=True, groups=1):
    """SciPy's two-dimensional correlation, channel by channel."""
    spread = np.zeros((*w.shape[:2], *((n - 1) * d + 1 for n, d in zip(w.shape[2:], dilation))))
    spread[:, :, :: dilation[0], :: dilation[1]] = w
    one = signal.convolve2d if flip else signal.correlate2d
    x = np.pad(x, [(0, 0), (0, 0), *pad])
    per, channels = len(w) // groups, w.shape[1]
    maps = [
        [
            sum(one(image[k // per * channels + c], spread[k, c], "valid") for c in range(channels))
            for k in range(len(w))
        ]
        for image in x
    ]
    return np.array(maps)[:, :, :: stride[0], :: stride[1]]


def adjoint(linear, g, shape):
    """The gradient of ``sum(linear(a) * g)`` by ``a``, from the values at unit tensors."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return np.array([(linear(u) * g).sum() for u in units]).reshape(shape)


IMAGES, FILTERS = draw(2, 4, 6, 5), draw(6, 4, 3, 2)
GROUPED = draw(6, 2, 3, 2)
OPTIONS = [
    ({}, {}, FILTERS),
    ({"border_mode": "full"}, {"pad": ((2, 2), (1, 1))}, FILTERS),
    ({"border_mode": "half", "filter_flip": False}, {"pad": ((1, 1), (1, 1)), "flip": False}, FILTERS),
    ({"border_mode": (1, 2), "subsample": (2, 3)}, {"pad": ((1, 1), (2, 2)), "stride": (2, 3)}, FILTERS),
    (
        {"border_mode": ((0, 2), (1, 0)), "filter_dilation": (2, 3)},
        {"pad": ((0, 2), (1, 0)), "dilation": (2, 3)},
        FILTERS,
    ),
    ({"num_groups": 2, "border_mode": 1}, {"groups": 2, "pad": ((1, 1), (1, 1))}, GROUPED),
]

SMALL, KERNELS = draw(2, 2, 5, 4), draw(3, 2, 3, 2)
ADJOINTS = [
    ({}, {}),
    ({"border_mode": "half", "filter_flip": False}, {"pad": ((1, 1), (1, 1)), "flip": False}),
    ({"border_mode": (2, 1), "subsample": (2, 2)}, {"pad": ((2, 2), (1, 1)), "stride": (2, 2)}),
    ({"border_mode": 1, "filter_dilation": (1, 2)}, {"pad": ((1, 1), (1, 1)), "dilation": (1, 2)}),
]


def _maps(plain):
    return draw(*convolved(SMALL, KERNELS, **plain).shape, seed=3)


CONVOLUTION: Table = {
    "nnet.conv2d": [
        example(
            lambda x, w, o=options: nnet.conv2d(x, w, **o), lambda x, w, p=plain: convolved(x, w, **p), IMAGES, filters
        )
        for options, plain, filters in OPTIONS
    ],
    "nnet.conv2d_grad_wrt_inputs": [
        example(
            lambda g, w, o=options: nnet.conv2d_grad_wrt_inputs(g, w, SMALL.shape, **o),
            lambda g, w, p=plain: adjoint(lambda x: convolved(x, w, **p), g, SMALL.shape),
            _maps(plain),
            KERNELS,
        )
        for options, plain in ADJOINTS
    ],
    "nnet.conv2d_grad_wrt_weights": [
        example(
            lambda x, g, o=options: nnet.conv2d_grad_wrt_weights(x, g, KERNELS.shape, **o),
            lambda x, g, p=plain: adjoint(lambda w: convolved(x, w, **p), g, KERNELS.shape),
            SMALL,
            _maps(plain),
        )
        for options, plain in ADJOINTS
    ],
    "nnet.conv2d_transpose": [
        example(
            lambda g, w: nnet.conv2d_transpose(g, w, SMALL.shape, border_mode=(2, 1), input_dilation=(2, 2)),
            lambda g, w: adjoint(lambda x: convolved(x, w, pad=((2, 2), (1, 1)), stride=(2, 2)), g, SMALL.shape),
            _maps(ADJOINTS[2][1]),
            KERNELS,
        ),
    ],
    "nnet.separable_conv2d": [
        example(
            lambda x, d, p: nnet.separable_conv2d(x, d, p, 2, border_mode=1, subsample=(2, 1)),
            lambda x, d, p: np.einsum(
                "nkij,fk->nfij", convolved(x, d, groups=2, pad=((1, 1), (1, 1)), stride=(2, 1)), p[:, :, 0, 0]
            ),
            SMALL,
            draw(4, 1, 3, 2),
            draw(3, 4, 1, 1),
        ),
    ],
}


VOLUMES, BOXES, SPLIT = draw(2, 2, 5, 4, 5), draw(4, 2, 3, 2, 3), draw(4, 1, 3, 2, 3)
VOLUME_OPTIONS = [
    ({}, {}, BOXES),
    ({"border_mode": "full", "subsample": (2, 1, 3)}, {"pad": (2, 1, 2), "stride": (2, 1, 3)}, BOXES),
    ({"border_mode": "half", "filter_flip": False}, {"pad": (1, 1, 1), "flip": False}, BOXES),
    ({"border_mode": (0, 2, 1), "filter_dilation": (2, 1, 2)}, {"pad": (0, 2, 1), "dilation": (2, 1, 2)}, BOXES),
    ({"num_groups": 2, "border_mode": 1}, {"groups": 2, "pad": (1, 1, 1)}, SPLIT),
]


def convolved_volumes(x, w, pad=(0, 0, 0), stride=(1, 1, 1), dilation=(1, 1, 1), flip=True, groups=1):
    """SciPy's correlation of volumes, channel by channel."""
    spread = np.zeros((*w.shape[:2], *((n - 1) * d + 1 for n, d in zip(w.shape[2:], dilation))))
    spread[(..., *(slice(None, None, d) for d in dilation))] = w
    one = signal.convolve if flip else signal.correlate
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pad)])
    per, channels = len(w) // groups, w.shape[1]
    maps = [
        [
            sum(one(v[k // per * channels + c], spread[k, c], "valid", "direct") for c in range(channels))
            for k in range(len(w))
        ]
        for v in x
    ]
    return np.array(maps)[(..., *(slice(None, None, s) for s in stride))]


BOX, BOX_FILTERS = draw(2, 2, 4, 3, 3), draw(3, 2, 2, 2, 3)
BOX_PLAIN = {"pad": (1, 0, 1), "stride": (2, 1, 1)}
BOX_OPTIONS = {"border_mode": (1, 0, 1), "subsample": (2, 1, 1)}
BOX_MAPS = draw(*convolved_volumes(BOX, BOX_FILTERS, **BOX_PLAIN).shape, seed=3)


def neighbourhoods(x, size, step=None, mode="valid"):
    """One neighbourhood at a time."""
    step = step or size
    pads = {"half": [n // 2 for n in size], "full": [n - 1 for n in size]}.get(mode, [0, 0])
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pads)])
    wrapped = mode == "wrap_centered"
    if wrapped:
        x = np.pad(x, [(0, 0), (0, 0), *((n // 2, n // 2) for n in size)], mode="wrap")
    rows, columns = (range(0, n - s + 1, d) for n, s, d in zip(x.shape[2:], size, step))
    return np.array(
        [x[b, c, i : i + size[0], j : j + size[1]].ravel()
         for b in range(len(x)) for c in range(x.shape[1]) for i in rows for j in columns]
    )  # fmt: skip


def interpolated(x, positions):
    """Linear interpolation along the last axis, constant beyond the edges."""
    return np.apply_along_axis(lambda row: np.interp(positions, np.arange(len(row)), row), -1, x)


def upsampled(x, rows, columns):
    """Fractions (numerator, denominator) for rows and columns."""
    for p, q in (rows, columns):
        n = x.shape[-2]
        x = np.swapaxes(x, -1, -2)
        x = interpolated(x, (np.arange((n * p - 1) // q + 1) * q - (p - 1) // 2) / p)
    return x


def local_response(x, alpha=1e-4, k=2, beta=0.75, n=5):
    around = np.stack([
        (x[:, max(c - n // 2, 0) : c + n // 2 + 1] ** 2).sum(1) for c in range(x.shape[1])
    ], 1)  # fmt: skip
    return x / (k + alpha * around) ** beta


TILES = draw(2, 3, 6, 4)
NEIGHBOURS: Table = {
    "nnet.neighbours.images2neibs": [
        example(
            lambda x, o=options: nnet.neighbours.images2neibs(x, **o),
            lambda x, o=plain: neighbourhoods(x, *o),
            TILES,
        )
        for options, plain in (
            ({"neib_shape": (3, 2)}, ((3, 2),)),
            ({"neib_shape": (2, 2), "neib_step": (1, 2)}, ((2, 2), (1, 2))),
            ({"neib_shape": (4, 3), "mode": "ignore_borders"}, ((4, 3),)),
            ({"neib_shape": (2, 3), "neib_step": (3, 2), "mode": "ignore_borders"}, ((2, 3), (3, 2))),
            ({"neib_shape": (3, 1), "neib_step": (2, 3), "mode": "wrap_centered"}, ((3, 1), (2, 3), "wrap_centered")),
            ({"neib_shape": (3, 2), "neib_step": (1, 2), "mode": "half"}, ((3, 2), (1, 2), "half")),
            ({"neib_shape": (3, 2), "neib_step": (1, 2), "mode": "full"}, ((3, 2), (1, 2), "full")),
        )
    ],
    "nnet.neighbours.neibs2images": [
        example(
            lambda x, n: nnet.neighbours.neibs2images(n, (3, 2), x.shape), lambda x, n: x, TILES,
            neighbourhoods(TILES, (3, 2)),
        ),
        example(
            lambda x, n: nnet.neighbours.neibs2images(n, (4, 3), x.shape, mode="ignore_borders"),
            lambda x, n: np.pad(x[:, :, :4, :3], [(0, 0), (0, 0), (0, 2), (0, 1)]), TILES,
            neighbourhoods(TILES, (4, 3)),
        ),
    ],
    "nnet.bilinear_upsampling": [
        *[
            example(
                lambda x, r=ratio: nnet.bilinear_upsampling(x, r),
                lambda x, r=ratio: upsampled(x, (r, 1), (r, 1)),
                TILES,
            )
            for ratio in (1, 2, 3, 4)
        ],
        example(
            lambda x: nnet.bilinear_upsampling(x, frac_ratio=((6, 4), (3, 5)), use_1D_kernel=False),
            lambda x: upsampled(x, (3, 2), (3, 5)), TILES,
        ),
    ],
    "nnet.frac_bilinear_upsampling": [
        example(lambda x: nnet.frac_bilinear_upsampling(x, (4, 3)), lambda x: upsampled(x, (4, 3), (4, 3)), TILES),
    ],
    "nnet.bilinear_kernel_1D": [
        example(lambda x: nnet.bilinear_kernel_1D(3) + x[0], lambda x: np.array([1, 2, 3, 2, 1]) / 3 + x[0], draw(2)),
        example(lambda i: nnet.bilinear_kernel_1D(i, False), lambda i: np.array([1.0, 2, 1]), np.int64(2)),
    ],
    "nnet.bilinear_kernel_2D": [
        example(
            lambda i: nnet.bilinear_kernel_2D((i, 3)), lambda i: np.outer([0.5, 1, 0.5], [1, 2, 3, 2, 1]) / 3,
            np.int64(2),
        ),
    ],
    "nnet.separable_conv3d": [
        example(
            lambda x, d, p: nnet.separable_conv3d(x, d, p, 2, border_mode=1, subsample=(1, 2, 1)),
            lambda x, d, p: np.einsum(
                "nkdij,fk->nfdij", convolved_volumes(x, d, groups=2, pad=(1, 1, 1), stride=(1, 2, 1)), p[:, :, 0, 0, 0]
            ),
            BOX, draw(4, 1, 3, 2, 2), draw(3, 4, 1, 1, 1),
        ),
    ],
    "nnet.local_response_normalization": [
        example(nnet.local_response_normalization, local_response, 5 * draw(2, 7, 3, 2)),
        example(
            lambda x: nnet.local_response_normalization(x, 0.5, 1.5, 0.5, 3),
            lambda x: local_response(x, 0.5, 1.5, 0.5, 3), draw(2, 4),
        ),
    ],
    "nnet.conv3d": [
        example(
            lambda x, w, o=options: nnet.conv3d(x, w, **o), lambda x, w, p=plain: convolved_volumes(x, w, **p),
            VOLUMES, filters,
        )
        for options, plain, filters in VOLUME_OPTIONS
    ],
    "nnet.conv3d_grad_wrt_inputs": [
        example(
            lambda g, w: nnet.conv3d_grad_wrt_inputs(g, w, BOX.shape, **BOX_OPTIONS),
            lambda g, w: adjoint(lambda x: convolved_volumes(x, w, **BOX_PLAIN), g, BOX.shape), BOX_MAPS, BOX_FILTERS,
        ),
    ],
    "nnet.conv3d_grad_wrt_weights": [
        example(
            lambda x, g: nnet.conv3d_grad_wrt_weights(x, g, BOX_FILTERS.shape, **BOX_OPTIONS),
            lambda x, g: adjoint(lambda w: convolved_volumes(x, w, **BOX_PLAIN), g, BOX_FILTERS.shape), BOX, BOX_MAPS,
        ),
    ],
}  # fmt: skip


# --- pooling ----------------------------------------------------------------------------------------------------------


def windows(length, window, stride, pad, ignore_border):
    """Where windows begin and end on an axis, in the padded image's positions."""
    end = length + 2 * pad
    starts = [s for s in range(0, end, stride) if s + window <= end]
    if not ignore_border:
        reached = starts[-1] + window if starts else 0
        following = starts[-1] + stride if starts else 0
        if reached < length and following < length:
            starts.append(following)
    return [(s, min(s + window, end)) for s in starts]


def pooled(x, ws, stride=None, pad=(0, 0), ignore_border=True, mode="max"):
    """One window at a time."""
    rows, columns = (windows(n, *rest, ignore_border) for n, *rest in zip(x.shape[-2:], ws, stride or ws, pad))
    out = np.zeros((*x.shape[:-2], len(rows), len(columns)))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            part = x[
                ..., max(top - pad[0], 0) : max(bottom - pad[0], 0), max(left - pad[1], 0) : max(right - pad[1], 0)
            ]
            counted = (bottom - top) * (right - left) if mode == "average_inc_pad" else part.shape[-1] * part.shape[-2]
            if mode == "max":
                out[..., i, j] = part.max((-2, -1))
            else:
                out[..., i, j] = part.sum((-2, -1)) / (1 if mode == "sum" else counted)
    return out


def pooled_volumes(x, ws, stride=None, pad=(0, 0, 0), ignore_border=True, mode="max"):
    """One window at a time; the padding never counts as a maximum."""
    stride = stride or ws
    along = [windows(n, *rest, ignore_border) for n, *rest in zip(x.shape[-3:], ws, stride, pad)]
    out = np.zeros((*x.shape[:-3], *map(len, along)))
    for at in np.ndindex(*out.shape[-3:]):
        spans = [along[k][i] for k, i in enumerate(at)]
        part = x[(..., *(slice(max(a - p, 0), max(b - p, 0)) for (a, b), p in zip(spans, pad)))]
        axes = (-3, -2, -1)
        counted = np.prod([b - a for a, b in spans] if mode == "average_inc_pad" else part.shape[-3:])
        out[(..., *at)] = part.max(axes) if mode == "max" else part.sum(axes) / (1 if mode == "sum" else counted)
    return out


def largest_of_windows(x, ws):
    """``x`` where it is the largest of its window, else 0."""
    out = np.zeros_like(x)
    for top in range(0, x.shape[-2], ws[0]):
        for left in range(0, x.shape[-1], ws[1]):
            at = np.s_[..., top : top + ws[0], left : left + ws[1]]
            out[at] = np.where(x[at] == x[at].max((-2, -1), keepdims=True), x[at], 0)
    return out


POOLING: Table = {
    "signal.pool.pool_2d": [
        example(
            lambda x, o=options, m=mode: pool.pool_2d(x, **{"ignore_border": True, **o}, mode=m),
            lambda x, o=options, m=mode: pooled(x, **o, mode=m),
            draw(2, 2, 7, 6),
        )
        for options in (
            {"ws": (2, 3)},
            {"ws": (3, 2), "stride": (2, 1), "pad": (1, 1)},
            {"ws": (2, 4), "ignore_border": False},
            {"ws": (3, 3), "stride": (2, 4), "ignore_border": False},
        )
        for mode in ("max", "sum", "average_inc_pad", "average_exc_pad")
    ],
    "signal.pool.pool_3d": [
        example(
            lambda x, o=options, m=mode: pool.pool_3d(x, **{"ignore_border": True, **o}, mode=m),
            lambda x, o=options, m=mode: pooled_volumes(x, **o, mode=m),
            draw(2, 5, 6, 5),
        )
        for options in (
            {"ws": (2, 3, 2)},
            {"ws": (3, 2, 2), "stride": (1, 2, 1), "pad": (1, 0, 1)},
            {"ws": (2, 4, 3), "ignore_border": False},
        )
        for mode in ("max", "sum", "average_inc_pad", "average_exc_pad")
    ],
    "signal.pool.max_pool_2d_same_size": [
        example(
            lambda x: pool.max_pool_2d_same_size(x, (2, 3)), lambda x: largest_of_windows(x, (2, 3)), draw(2, 5, 7)
        ),
    ],
}

TABLE: Table = {**ACTIVATIONS, **LOSSES, **NORMALISATION, **CONVOLUTION, **NEIGHBOURS, **POOLING}
