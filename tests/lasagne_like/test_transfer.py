"""Freezing, heads on trained trunks, copies between networks."""

import copy
import pickle

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    BatchNormLayer,
    DenseLayer,
    InputLayer,
    NonlinearityLayer,
    batch_norm,
    get_all_layers,
    get_all_params,
    get_output,
)
from lasagne_like.models import small_vgg
from lasagne_like.nonlinearities import softmax
from lasagne_like.training import Trainer
from lasagne_like.transfer import copy_weights, freeze, frozen_layers, replace_head, select_layers, unfreeze
from lasagne_like.updates import sgd


def network():
    layer = InputLayer((None, 6), name="input")
    for number in (1, 2):
        layer = batch_norm(DenseLayer(layer, 5, name=f"dense{number}"))
    return DenseLayer(layer, 3, nonlinearity=softmax, name="out")


def named(net, **tags):
    return [param.name for param in get_all_params(net, **tags)]


def data(count=40):
    rng = np.random.RandomState(0)
    return rng.randn(count, 6).astype(np.float32) * 2 + 1, rng.randint(0, 3, count).astype(np.int32)


def bits(net):
    return {param.name: param.get_value().tobytes() for param in get_all_params(net)}


def test_patterns_lists_and_functions_choose_layers():
    net = network()
    names = [layer.name for layer in get_all_layers(net)]
    dense1 = get_all_layers(net)[1]
    assert dense1.name == "dense1"
    assert select_layers("dense?", net) == select_layers(lambda layer: isinstance(layer, DenseLayer), net)[:2]
    assert select_layers(dense1) == select_layers([dense1, "dense1"], net) == [dense1]
    assert [layer.name for layer in select_layers("dense1", net, below=True)] == ["input", "dense1"]
    assert [layer.name for layer in select_layers({"anything": net})] == ["out"]
    assert [layer.name for layer in select_layers("*", net)] == names
    # The order is the network's, not the one of the list.
    assert [layer.name for layer in select_layers(["out", "input"], net)] == ["input", "out"]
    # Keys of a dict count as names.
    assert select_layers("first", {"first": dense1, "last": net}) == [dense1]


def test_errors_of_choices():
    net = network()
    with pytest.raises(ValueError, match="no layer's name matches 'dnse1'; near names: dense1"):
        freeze("dnse1", net)
    with pytest.raises(ValueError, match="needs the network to look in"):
        freeze("dense1")
    with pytest.raises(ValueError, match="chose none of the network's"):
        freeze(lambda layer: False, net)
    with pytest.raises(TypeError, match="got int: 3"):
        freeze([3], net)
    assert frozen_layers(net) == []


def test_tags_and_undo():
    net = network()
    before = named(net, trainable=True)
    chosen = freeze("dense1*", net)
    assert [layer.name for layer in chosen][0] == "dense1"
    assert named(net, trainable=True) == [name for name in before if not name.startswith("dense1")]
    assert named(net) == named(network())  # nothing is lost from the network itself
    assert set(frozen_layers(net)) == {layer for layer in chosen if layer.params}
    freeze("dense1*", net)
    unfreeze("*", net)
    assert named(net, trainable=True) == before
    assert frozen_layers(net) == []
    # Running averages were never trainable, and freezing and unfreezing does not make them so.
    assert not any("mean" in name or "inv_std" in name for name in named(net, trainable=True))


def test_a_shared_parameter_is_frozen_wherever_it_is():
    first = DenseLayer(InputLayer((None, 4)), 4, name="first")
    second = DenseLayer(first, 4, W=first.W, name="second")
    freeze("first", second)
    assert named(second, trainable=True) == ["second.b"]
    unfreeze("first", second)
    assert named(second, trainable=True) == ["first.W", "first.b", "second.b"]


def test_frozen_bits_survive_training():
    net = network()
    X, y = data()
    Trainer(net, verbose=False).fit(X, y, 2)  # averages that differ from the batches to come
    freeze("dense1*", net)
    before = bits(net)
    Trainer(net, verbose=False, batch_size=16, learning_rate=0.05).fit(3 * X - 5, y, 3)
    after = bits(net)
    same = {name for name in before if before[name] == after[name]}
    assert same == {name for name in before if name.startswith("dense1")}
    assert sum("mean" in name for name in same) == 1


def test_unfrozen_layers_learn_again():
    net = network()
    X, y = data()
    freeze("*", net)
    unfreeze("*", net)
    before = bits(net)
    Trainer(net, verbose=False).fit(X, y, 1)
    assert all(before[name] != value for name, value in bits(net).items())


def test_a_frozen_batch_norm_uses_its_averages():
    x = T.matrix("x")
    layer = BatchNormLayer(InputLayer((None, 4), x, name="input"), name="bn")
    layer.mean.set_value(np.full(4, 2, layer.mean.dtype))
    layer.inv_std.set_value(np.full(4, 0.5, layer.mean.dtype))
    freeze(layer)
    values = np.random.RandomState(0).randn(7, 4).astype(np.float32)
    training = symc.function([x], get_output(layer, deterministic=False))
    np.testing.assert_allclose(training(values), (values - 2) * 0.5, rtol=1e-5, atol=1e-6)
    insisting = symc.function([x], get_output(layer, batch_norm_use_averages=False, batch_norm_update_averages=True))
    np.testing.assert_allclose(insisting(values), (values - 2) * 0.5, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.mean.get_value(), np.full(4, 2))
    unfreeze(layer)
    symc.function([x], get_output(layer, deterministic=False))(values)
    assert (layer.mean.get_value() != 2).all()


def count_nodes(outputs):
    seen, pending = set(), list(outputs)
    while pending:
        node = pending.pop()
        if node.owner is not None and node.owner not in seen:
            seen.add(node.owner)
            pending.extend(node.owner.inputs)
    return len(seen)


def test_frozen_layers_cost_no_gradient_work():
    def nodes(frozen):
        layer = InputLayer((None, 6), name="input")
        for number in range(8):
            layer = DenseLayer(layer, 6, name=f"d{number}")
        if frozen:
            freeze([f"d{number}" for number in range(frozen)], layer)
        loss = T.mean(get_output(layer) ** 2)
        updates = sgd(loss, get_all_params(layer, trainable=True), learning_rate=0.1)
        return count_nodes([loss, *updates.values()]) - count_nodes([loss])

    assert nodes(4) < 0.6 * nodes(0)
    assert nodes(7) < 0.25 * nodes(0)


def test_replace_head_keeps_the_trunk():
    net = small_vgg(num_classes=5, channels=(2, 3), dense=4)
    new = replace_head(net, "pool2", lambda trunk: DenseLayer(trunk, 3, nonlinearity=softmax, name="out"))
    names = list(net)
    assert list(new) == names[: names.index("pool2") + 1] + ["out"]
    assert new["conv1_1"] is net["conv1_1"] and new["out"].output_shape == (None, 3)
    assert len(net) == len(names) and net["out"].output_shape == (None, 5)

    def two_layers(trunk):
        hidden = DenseLayer(trunk, 4)
        return {"hidden": hidden, "prob": NonlinearityLayer(hidden, softmax)}

    assert list(replace_head(net["prob"], net["pool1"], two_layers))[-3:] == ["pool1", "hidden", "prob"]


def test_replace_head_errors():
    net = small_vgg(num_classes=5, channels=(2,), dense=4)
    with pytest.raises(ValueError, match="near names: pool1"):
        replace_head(net, "pool2", lambda trunk: DenseLayer(trunk, 3))
    with pytest.raises(ValueError, match="matches 2 layers"):
        replace_head(net, "conv*", lambda trunk: DenseLayer(trunk, 3))
    with pytest.raises(ValueError, match="does not rest on 'pool1'"):
        replace_head(net, "pool1", lambda trunk: DenseLayer(InputLayer((None, 3)), 3))
    with pytest.raises(ValueError, match="two layers would be called 'conv1_1'"):
        replace_head(net, "pool1", lambda trunk: DenseLayer(trunk, 3, name="conv1_1"))


def test_head_alone_then_all():
    net = network()
    X, y = data()
    new = replace_head(net, net.input_layer, lambda trunk: DenseLayer(trunk, 3, nonlinearity=softmax, name="new"))
    freeze("*", new)
    unfreeze("new", new)
    before = bits(new["new"])
    Trainer({"new": new["new"]}, verbose=False).fit(X, y, 1)
    changed = {name for name, value in bits(new["new"]).items() if before[name] != value}
    assert changed == {"new.W", "new.b"}
    unfreeze("*", new)
    Trainer({"new": new["new"]}, verbose=False).fit(X, y, 1)
    assert all(before[name] != value for name, value in bits(new["new"]).items())


def test_copy_weights():
    one, other = network(), network()
    untouched = bits(other)
    report = copy_weights(one, other, ["dense1*"])
    assert report.loaded and all(name.startswith("dense1") for name in report.loaded)
    for name, value in bits(other).items():
        assert value == (bits(one)[name] if name.startswith("dense1") else untouched[name])
    # Copies, not shared storage.
    before = bits(other)
    X, y = data()
    Trainer(one, verbose=False).fit(X, y, 1)
    assert bits(other) == before
    with pytest.raises(ValueError, match="matches no parameter of the source"):
        copy_weights(one, other, "conv*")


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_copy_of_a_frozen_network_can_be_unfrozen(twin):
    net = batch_norm(DenseLayer(InputLayer((None, 3)), 4))
    freeze(net, below=True)
    other = twin(net)
    assert len(frozen_layers(other)) == len(frozen_layers(net)) == 2
    unfreeze(other, below=True)
    assert frozen_layers(other) == [] and len(get_all_params(other, trainable=True)) == 3
    normalisation = other.input_layer
    assert normalisation.use_averages is None and normalisation.update_averages is None


def test_a_choice_that_is_none():
    with pytest.raises(TypeError, match="expected layers, names, or a function from layer to bool, got int: 3"):
        freeze(3)
