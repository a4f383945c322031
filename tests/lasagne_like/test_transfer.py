"""Freezing, heads on trained trunks, copies between networks."""

import copy
import pickle

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import init
from lasagne_like.data import Preprocess
from lasagne_like.layers import (
    BatchNormLayer,
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    GlobalPoolLayer,
    InputLayer,
    Layer,
    NonlinearityLayer,
    batch_norm,
    get_all_layers,
    get_all_params,
    get_output,
)
from lasagne_like.models import Model, small_vgg
from lasagne_like.nonlinearities import linear, softmax
from lasagne_like.training import Trainer
from lasagne_like.transfer import (
    copy_weights,
    freeze,
    frozen_layers,
    last_block,
    replace_head,
    select_layers,
    training_report,
    unfreeze,
)
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


def test_layers_without_names():
    first = DenseLayer(InputLayer((None, 4)), 3)
    net = DenseLayer(first, 2)
    assert select_layers("*", net) == get_all_layers(net)
    assert select_layers("1_Dense*", net) == [first]
    freeze("*", net)
    assert frozen_layers(net) == [first, net]
    assert [row.name for row in training_report(net).rows] == ["1_DenseLayer", "2_DenseLayer"]


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


class Centred(Layer):
    """Subtracts a running average that it updates itself, in the manner of Lasagne's layers."""

    def __init__(self, incoming, **kwargs):
        super().__init__(incoming, **kwargs)
        self.average = self.add_param(init.Constant(0), self.input_shape[1:], "average", trainable=False)

    def get_output_for(self, input, deterministic=False, **kwargs):
        if deterministic:
            return input - self.average
        running = self.average.clone()
        return T.carry_updates(input - input.mean(0), {running: 0.5 * running + 0.5 * input.mean(0)})


class Counting(Layer):
    """Keeps state outside its parameters, and heeds ``frozen``."""

    def __init__(self, incoming, **kwargs):
        super().__init__(incoming, **kwargs)
        self.count = symc.shared(np.float32(0))

    def get_output_for(self, input, **kwargs):
        running = self.count.clone()
        return input if self.frozen else T.carry_updates(input, {running: running + 1})


def test_layers_of_ones_own_can_be_frozen():
    x = T.matrix("x")
    centred = Centred(InputLayer((None, 4), x), name="centred")
    counting = Counting(centred, name="counting")
    values = np.random.RandomState(0).randn(7, 4).astype(np.float32) + 3

    def run():
        return symc.function([x], get_output(counting))(values)

    np.testing.assert_allclose(run(), values - values.mean(0), rtol=1e-5, atol=1e-5)
    held = centred.average.get_value()
    np.testing.assert_allclose(held, 0.5 * values.mean(0), rtol=1e-5)
    assert counting.count.get_value() == 1
    freeze("*", counting)
    np.testing.assert_allclose(run(), values - held, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(centred.average.get_value(), held)
    assert counting.count.get_value() == 1 and frozen_layers(counting) == [centred]
    unfreeze("counting", counting)
    run()
    assert counting.count.get_value() == 2 and (centred.average.get_value() == held).all()


def test_dropout_in_frozen_layers_stays_active():
    x = T.matrix("x")
    net = DropoutLayer(DenseLayer(InputLayer((None, 4), x), 200, nonlinearity=None, b=init.Constant(1)), name="drop")
    freeze("*", net, below=True)
    assert 0.3 < (symc.function([x], get_output(net))(np.zeros((1, 4))) == 0).mean() < 0.7


def test_layer_trainable():
    net = network()
    layer = get_all_layers(net)[1]
    assert layer.trainable and not layer.frozen
    layer.trainable = False
    assert layer.frozen and named(layer, trainable=True) == []
    layer.trainable = False
    unfreeze(layer)
    assert layer.trainable and named(layer, trainable=True) == ["dense1.W"]
    with pytest.raises(TypeError, match="trainable must be True or False, got 0"):
        layer.trainable = 0


def test_model_trainable():
    base = Model(small_vgg())
    base.trainable = False
    net = replace_head(base, num_classes=2)
    assert not base.trainable and not net.trainable
    assert named(net.output_layer, trainable=True) == ["top.W", "top.b"]
    net.trainable = True
    assert base["conv1_1"].trainable and base["bn1_1"].frozen is False


def test_the_order_of_arguments():
    with pytest.raises(TypeError, match="the layers come first"):
        freeze(network(), "dense*")


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


def test_a_standard_head():
    net = small_vgg(num_classes=5, channels=(2, 3), dense=4)
    kept = list(net)[: list(net).index("pool2") + 1]
    new = replace_head(net, num_classes=3, hidden=[7], dropout=0.5)
    assert list(new) == [*kept, "top_pool", "top_dropout1", "top_hidden1", "top_dropout", "top"]
    assert new["top"].output_shape == (None, 3) and new["top"].nonlinearity is softmax
    assert new["top_hidden1"].num_units == 7 and new["top_dropout"].p == 0.5
    # on the base alone, by its layer
    x = T.tensor4("x")
    heads = {pool: replace_head(net["pool2"], num_classes=1, pool=pool)["top"] for pool in ("average", "max", None)}
    values = np.random.RandomState(0).randn(2, 1, 28, 28).astype(np.float32)
    features = symc.function([x], get_output(net["pool2"], x, deterministic=True))(values)
    for pool, head in heads.items():
        inputs = {"average": features.mean((2, 3)), "max": features.max((2, 3)), None: features.reshape(2, -1)}[pool]
        expected = 1 / (1 + np.exp(-(inputs @ head.W.get_value() + head.b.get_value())))
        found = symc.function([x], get_output(head, x, deterministic=True))(values)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # without spatial axes: below the last layer with parameters
    assert list(replace_head(network(), num_classes=2))[-2:] == ["dense2_bn_nonlin", "top"]
    assert replace_head(network(), num_classes=2, nonlinearity=None)["top"].nonlinearity is linear


def test_a_new_head_on_a_model():
    preprocess = Preprocess(resize=32, crop=28, channels="grey")
    base = Model(small_vgg(), preprocess=preprocess, classes=[str(k) for k in range(10)])
    new = replace_head(base, classes=["cat", "dog"])
    assert isinstance(new, Model) and new.classes == ["cat", "dog"] and new.preprocess == preprocess.whole()
    assert new.output_layer.output_shape == (None, 2) and new["conv1_1"] is base["conv1_1"]
    assert replace_head(base, num_classes=3).classes is None
    assert replace_head(base, num_classes=1, classes=["cat", "dog"]).output_layer.num_units == 1
    assert replace_head(base, "pool1", lambda pool: DenseLayer(pool, 2), classes=["a", "b"]).classes == ["a", "b"]


def test_standard_head_errors():
    net = network()
    with pytest.raises(TypeError, match="pass num_classes=2"):
        replace_head(net)
    with pytest.raises(TypeError, match="which replaces num_classes"):
        replace_head(net, "dense1", lambda base: base, num_classes=2)
    with pytest.raises(TypeError, match="which replaces num_classes"):
        replace_head(net, "dense1", 3)
    with pytest.raises(ValueError, match="num_classes=3 does not fit"):
        replace_head(net, num_classes=3, classes=["cat", "dog"])
    with pytest.raises(ValueError, match="expected 'average', 'max' or None"):
        replace_head(small_vgg(), num_classes=3, pool="mean")
    with pytest.raises(ValueError, match="has no base below"):
        replace_head(DenseLayer(InputLayer((None, 4)), 2), num_classes=3)
    with pytest.raises(TypeError, match="build must return a layer"):
        replace_head(net, "dense1", lambda base: None)


def test_last_block():
    net = small_vgg(num_classes=5, channels=(2, 3), convolutions=1, dense=4)
    assert [layer.name for layer in last_block(net)] == ["conv2_1", "bn2_1", "relu2_1", "pool2"]
    assert len(last_block(net, 2)) == 8
    freeze("*", net)
    unfreeze(last_block(replace_head(net, num_classes=2)), net)
    assert named(net["prob"], trainable=True) == ["conv2_1.W", "bn2_1.beta", "bn2_1.gamma"]
    layer = InputLayer((None, 1, 8, 8), name="input")
    for name in ("conv1", "layer1.0.conv1", "layer1.1.conv1", "layer10.0.conv1", "layer10.1.conv2", "stem"):
        layer = Conv2DLayer(layer, 1, 1, name=name)
    assert [each.name for each in last_block(layer)] == ["layer10.0.conv1", "layer10.1.conv2", "stem"]
    for name in ("block11a_conv", "block11b_conv", "head_conv"):
        layer = Conv2DLayer(layer, 1, 1, name=name)
    assert [each.name for each in last_block(layer)] == ["block11a_conv", "block11b_conv", "head_conv"]
    with pytest.raises(ValueError, match="found 1, 10, 11"):
        last_block(layer, 4)
    with pytest.raises(ValueError, match="found none: select layers by name"):
        last_block(network())


def test_training_report():
    net = network()
    freeze("dense1*", net)
    report = training_report(net, {"dense2*": 1e-4, "*": 1e-2})
    assert [(row.name, row.trained, row.frozen, row.other) for row in report.rows] == [
        ("dense1", 0, 30, 0),
        ("dense1_bn", 0, 10, 10),
        ("dense2", 25, 0, 0),
        ("dense2_bn", 10, 0, 10),
        ("out", 18, 0, 0),
    ]
    assert [row.rate for row in report.rows] == [1e-2, 1e-2, 1e-4, 1e-4, 1e-2]
    assert [row.averages for row in report.rows] == ["", "held", "", "updated", ""]
    assert (report.trained, report.frozen) == (53, 40)
    text = str(report)
    assert "trained 53 of 93 parameters (57.0%), frozen 40" in text and "0.0001 (dense2*)" in text
    assert "learning rate" not in str(training_report(net))
    with pytest.raises(ValueError, match="'dense3\\*' matches no layer; names: input, dense1"):
        training_report(net, {"dense3*": 1, "*": 1})
    with pytest.raises(ValueError, match="no pattern matches the trained layer 'out'"):
        training_report(net, {"dense*": 1})
    # a shared parameter counts once
    first = DenseLayer(InputLayer((None, 4)), 4, b=None)
    assert training_report(DenseLayer(first, 4, W=first.W, b=None)).trained == 16


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


def test_freezing_a_layer_without_parameters_is_no_silent_mistake():
    """The last layer of a base is often a pooling layer: freezing it alone would freeze nothing."""
    conv = Conv2DLayer(InputLayer((None, 3, 8, 8)), 4, 3, name="conv")
    pooled = GlobalPoolLayer(conv, name="mean")
    with pytest.raises(ValueError, match=r"'mean'> has no parameters.*below=True"):
        freeze(pooled)
    assert get_all_params(pooled, trainable=True) == [conv.W, conv.b]
    freeze(pooled, below=True)
    assert get_all_params(pooled, trainable=True) == []
