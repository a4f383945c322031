"""Seeded mistakes that the tests must detect.

Each mutant is a small change of one file, and the quick tests of which at least one must fail with it. A mutant that
survives shows a test that cannot fail; a patch that no longer applies (``tests/test_mutants.py`` tells) wants to follow
the code it changes, not to be dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTANTS", "SHORT", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """A mistake and the tests that must notice it.

    Attributes
    ----------
    name : str
        What is wrong.
    file : str
        Relative to the root of the repository.
    old, new : str
        ``old`` must occur exactly once in the file.
    tests : tuple of str
        Files or node ids, as pytest takes them. Together they should run within seconds.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def oracle(*names: str) -> tuple[str, ...]:
    """The tests of public functions against their oracles."""
    return tuple(
        f"tests/test_oracles.py::test_against_its_oracle[{name}-{way}]"
        for name in names
        for way in ("float64-c", "float32-interp")
    )


MUTANTS = [
    # --- steps that are written out
    Mutant(
        "the last state is stored where the first one was",
        "symc/compiler/lowering/unrolled_steps.py",
        "final = Ref(before.buffer, dims.substitute(before.offset, {self.loop.index: self.loop.count}))",
        "final = Ref(before.buffer, dims.substitute(before.offset, {self.loop.index: 0}))",
        ("tests/test_unrolled_steps.py::test_a_filter_of_small_matrices_is_one_kernel",),
    ),
    Mutant(
        "a state keeps the value that it has before a step",
        "symc/compiler/lowering/unrolled_steps.py",
        "ends.append(Store(register, ZERO, new[k, e]))",
        "ends.append(Store(register, ZERO, var(name, dtype)))",
        ("tests/test_unrolled_steps.py::test_a_filter_of_small_matrices_is_one_kernel",),
    ),
    # --- loops over independent rows
    Mutant(
        "rows that read other rows are taken for independent ones",
        "symc/compiler/lowering/row_loops.py",
        "if pitch <= 0 or pitches.setdefault(root, pitch) != pitch:",
        "if pitch < 0:",
        ("tests/test_row_loops.py",),
    ),
    Mutant(
        "a row may reach into the next one",
        "symc/compiler/lowering/row_loops.py",
        "+ (many - 1) * access.stride < pitch",
        "+ (many - 1) * access.stride < 2 * pitch",
        ("tests/test_row_loops.py",),
    ),
    Mutant(
        "values of a step that threads reach at different times share memory",
        "symc/compiler/lowering/program.py",
        "own = node.rows is None and self._is_inside(number, self.inside[id(node)])",
        "own = self._is_inside(number, self.inside[id(node)])",
        ("tests/test_row_loops.py",),
    ),
    Mutant(
        "a value that depends on the number of its row is taken for any row's",
        "symc/compiler/lowering/row_forms.py",
        "self._plain(s.value)",
        "pass",
        ("tests/test_row_loops.py",),
    ),
    # --- the language: wrong in the graph that a function builds, whatever back end runs it
    Mutant(
        "the padding of a convolution gains a row of zeros",
        "symc/tensor/nnet/conv_ops.py",
        "        return dims.floordiv(extent, 2), dims.floordiv(extent, 2)",
        "        return dims.add(dims.floordiv(extent, 2), 1 - axis), dims.floordiv(extent, 2)",
        ("tests/test_ops.py::test_value[conv2d-1-float64]",),
    ),
    Mutant(
        "filters are flipped where they should not be, and the other way round",
        "symc/tensor/nnet/conv.py",
        '"flip": bool(filter_flip),',
        '"flip": not filter_flip,',
        oracle("nnet.conv2d"),
    ),
    Mutant(
        "the last pooling window, cut by the edge, is forgotten",
        "symc/tensor/signal/pool.py",
        "        if stride >= window:\n            return dims.add(dims.floordiv(dims.sub(length, 1), stride), 1)",
        "        if stride >= window:\n            return dims.floordiv(length, stride)",
        oracle("signal.pool.pool_2d"),
    ),
    Mutant(
        "less-than holds for equals, in the code and in its NumPy meaning alike",
        "symc/tensor/arithmetic.py",
        'lt = elementwise("lt", lambda x, y: call("lt", x, y), np.less,',
        'lt = elementwise("lt", lambda x, y: call("le", x, y), np.less_equal,',
        oracle("lt"),
    ),
    Mutant(
        "the mean divides by the number of all elements",
        "symc/tensor/reduce.py",
        "    known = dims.product(x.type.shape[k] for k in axes)",
        "    known = dims.product(x.type.shape)",
        oracle("mean"),
    ),
    Mutant(
        "the standard deviation ignores ddof",
        "symc/tensor/reduce.py",
        "    return ew.sqrt(var(x, axis, ddof, keepdims))",
        "    return ew.sqrt(var(x, axis, 0, keepdims))",
        oracle("std"),
    ),
    Mutant(
        "softmax runs over the last axis always",
        "symc/tensor/nnet/activations.py",
        "    return Op(kind, axis=normalize_axis(axis, x.ndim, kind.name, x))",
        "    return Op(kind, axis=x.ndim - 1)",
        oracle("nnet.softmax"),
    ),
    Mutant(
        "roll goes the other way",
        "symc/tensor/indices/rotation.py",
        'constant(-by, dtype="int64")',
        'constant(by, dtype="int64")',
        oracle("roll"),
    ),
    Mutant(
        "running variances of batch normalisation are biased",
        "symc/tensor/nnet/normalization.py",
        "keep + (n / (n - 1)) * var * running",
        "keep + var * running",
        oracle("nnet.batch_normalization_train"),
    ),
    Mutant(
        "stack puts the new axis last",
        "symc/tensor/joining.py",
        '    place = normalize_axis(axis, ndim + 1, "stack", variables[0])',
        '    place = max(normalize_axis(axis, ndim + 1, "stack", variables[0]), ndim)',
        oracle("stack"),
    ),
    Mutant(
        "Philox runs nine rounds",
        "symc/tensor/random_numbers/bits.py",
        "ROUNDS = 10",
        "ROUNDS = 9",
        ("tests/test_oracles.py::test_random_streams[uniform-float64]",),
    ),
    Mutant(
        "a random stream draws the same numbers at every call",
        "symc/tensor/shared_randomstreams.py",
        'constant(np.array([0, 1], "uint64"))',
        'constant(np.array([0, 0], "uint64"))',
        ("tests/test_oracles.py::test_random_streams[uniform-float64]",),
    ),
    Mutant(
        "operands that do not broadcast are not refused",
        "symc/tensor/broadcasting.py",
        "            elif dims.equal(leader.type.shape[axis], dim) is False:",
        "            elif leader is v:",
        ("tests/test_errors.py",),
    ),
    Mutant(
        "the index beyond the last is not out of range",
        "symc/tensor/checked.py",
        '        wrong = call("or", i < (call("neg", n) if wrap else index(0)), i >= n)',
        '        wrong = call("or", i < (call("neg", n) if wrap else index(0)), i > n)',
        ("tests/test_nnet.py::test_labels_out_of_range",),
    ),
    # --- derivatives
    Mutant(
        "the slope of the cosine has the wrong sign",
        "symc/tensor/elementwise.py",
        "lambda g, y, x: (-(g * sin(x)),)",
        "lambda g, y, x: (g * sin(x),)",
        ("tests/test_ops.py::test_gradient[cos-1]",),
    ),
    Mutant(
        "contributions to one gradient replace one another",
        "symc/gradient/accumulation.py",
        "            self._arriving.setdefault(v, []).append(answer)",
        "            self._arriving[v] = [answer]",
        oracle("grad", "hessian", "Lop"),
    ),
    Mutant(
        "the gradient of a product of matrices forgets a transpose",
        "symc/tensor/linalg.py",
        "    da = make(b, g, tb, True) if ta else make(g, b, False, not tb)",
        "    da = make(b, g, tb, True) if ta else make(g, b, False, tb)",
        ("tests/test_ops.py::test_gradient[dot-0]",),
    ),
    # --- the compiler
    Mutant(
        "shapes that only a call can tell apart are not checked",
        "symc/graph/guards.py",
        "        state_guard(Guard(left, right, tell, blamed()))",
        "        pass",
        ("tests/test_conv.py::test_mismatches_only_a_call_can_see",),
    ),
    Mutant(
        "a - b and b - a are one",
        "symc/compiler/value_numbering.py",
        "sorted(map(id, inputs)) if record.commutative else",
        "sorted(map(id, inputs)) if len(inputs) == 2 else",
        ("tests/test_mutants.py::test_operands_keep_their_order",),
    ),
    Mutant(
        "an update is written before the last reader of the old value",
        "symc/compiler/lowering/root.py",
        "            if first_write > barrier and all(k < first_write for k in readers):",
        "            if first_write > barrier:",
        ("tests/test_function.py::test_no_update_reads_what_another_has_written",),
    ),
    Mutant(
        "an update is written before a step that may fail",
        "symc/compiler/lowering/root.py",
        "        return uses, writes, barrier",
        "        return uses, writes, -1",
        ("tests/test_mutants.py::test_a_call_that_fails_changes_nothing",),
    ),
    Mutant(
        "temporaries that meet in one step share memory",
        "symc/compiler/memory_plan.py",
        "        while lasts[next_gone] < first:",
        "        while lasts[next_gone] <= first and lasts[next_gone] < lasts[k]:",
        ("tests/test_memory_plan.py",),
    ),
    Mutant(
        "erfc of -x becomes erfc of x",
        "symc/compiler/rewrite/stability.py",
        'Rule("erfc_of_negative", 1 + erf(X), erfc(-X))',
        'Rule("erfc_of_negative", 1 + erf(X), erfc(X))',
        ("tests/test_rewrite_rules.py::test_both_sides_have_one_type_and_one_value[erfc_of_negative-float64-1d]",),
    ),
    # --- functions and shared variables
    Mutant(
        "shared keeps the caller's array though it was not to borrow it",
        "symc/runtime/shared.py",
        "copy=not borrow)",
        "copy=False)",
        ("tests/test_shared.py",),
    ),
    Mutant(
        "get_value hands out the variable's own memory",
        "symc/runtime/storage.py",
        "else self.array).copy()",
        "else self.array)",
        ("tests/test_shared.py",),
    ),
    Mutant(
        "default updates of what default updates read are forgotten",
        "symc/runtime/updates.py",
        "                frontier.append(result[-1][1])\n",
        "",
        ("tests/test_function.py::test_default_updates_of_what_default_updates_read",),
    ),
    Mutant(
        "strict inputs take what loses information",
        "symc/runtime/arguments.py",
        "            array = convert_value(value, wanted, what, self.strict, policy)",
        "            array = convert_value(value, wanted, what, self.strict and not policy, policy)",
        ("tests/test_input_policies.py",),
    ),
    # --- back ends
    Mutant(
        "the flags of the compiler are missing from the cache's keys",
        "backends/c/toolchain.py",
        "{' '.join(flags())}\\n{_identity(",
        "{_identity(",
        ("tests/test_cache_keys.py",),
    ),
    Mutant(
        "a damaged file of the cache is loaded",
        "backends/cache.py",
        "    return data if whole[-_SEAL:] == _seal(name, data) else None",
        "    return data",
        ("tests/test_cache.py::test_damaged_content_is_made_again",),
    ),
    Mutant(
        "the rest of a vector loop is left out when one element remains",
        "backends/c/simd_loops.py",
        'lines.append(f"if ({i} < end) {{ const',
        'lines.append(f"if ({i} + 1 < end) {{ const',
        oracle("exp", "sum"),
    ),
    Mutant(
        "threads of a group read partial results before the others have written theirs",
        "backends/cuda/runtime/thread_group.cuh",
        "part[threadIdx.x / 32] = x;\n    __syncthreads();\n",
        "part[threadIdx.x / 32] = x;\n",
        ("tests/test_cuda_device.py::test_shapes_at_the_edges",),
    ),
    # --- layers
    Mutant(
        "a product is folded although something else reads it",
        "symc/compiler/rewrite/affine.py",
        "if uses[v] == 1 and v in found else None",
        "if v in found else None",
        ("tests/test_folding_scales.py::test_a_product_that_something_else_reads_stays",),
    ),
    Mutant(
        "the sign of a shift is lost where a product is subtracted",
        "symc/compiler/rewrite/affine.py",
        "        shift = number if a.shift is None else ew.sub(number, a.shift)",
        "        shift = number if a.shift is None else ew.add(number, a.shift)",
        ("tests/test_folding_scales.py::test_forms_of_scales",),
    ),
    Mutant(
        "folded weights are not computed again when an array lent to the caller is written to",
        "symc/runtime/preparation.py",
        "        self._seen, self._total = None if lent else counts, -1",
        "        self._seen, self._total = counts, -1",
        ("tests/test_folding_scales.py::test_a_variable_made_with_borrow_is_never_trusted",),
    ),
    Mutant(
        "the fast path of a call does not count its updates as writes",
        "backends/c/runtime/launcher/turns.h",
        "        plan->write_turns[i][1]++;\n        counts[1]++;\n",
        "",
        ("tests/test_folding_scales.py::test_every_way_to_change_a_shared_variable",),
    ),
    Mutant(
        "what differs in training is taken for frozen",
        "lasagne_like/transfer/border.py",
        "if not changing and _same(training, final, leaves) and",
        "if not changing and",
        ("tests/lasagne_like/test_features.py::test_batch_norm_belongs_to_the_border_only_if_it_is_frozen",),
    ),
    Mutant(
        "guided backpropagation lets negative gradients pass",
        "lasagne_like/attribution/gradients.py",
        "T.grad_clip(made[variable], 0, np.inf)",
        "T.grad_clip(made[variable], -np.inf, np.inf)",
        ("tests/lasagne_like/test_attribution.py::test_guided_backprop",),
    ),
    Mutant(
        "Nesterov's momentum uses the old velocity",
        "lasagne_like/updates.py",
        "        result[param] = momentum * new_velocity + result[param]",
        "        result[param] = momentum * velocity + result[param]",
        ("tests/lasagne_like/test_updates.py::test_figures[loss-nesterov_momentum]",),
    ),
    Mutant(
        "dropout multiplies by what it should divide by",
        "lasagne_like/layers/noise.py",
        "            input = input / retain",
        "            input = input * retain",
        ("tests/lasagne_like/test_layers_noise.py",),
    ),
    Mutant(
        "the best epoch survives from one fit to the next",
        "lasagne_like/training/trainer.py",
        "            self.run, self.rate_factor = Run(self.epoch), 1.0",
        "            self.run.first, self.rate_factor = self.epoch, 1.0",
        ("tests/lasagne_like/test_training_fit.py::test_a_second_fit_does_not_rewind_to_the_first",),
    ),
    Mutant(
        "steps after a loss that is not finite count again",
        "lasagne_like/training/steps.py",
        "good = running = T.and_(T.lt(abs(loss), np.inf), T.lt(self.failed, 0))",
        "good = running = T.lt(abs(loss), np.inf)",
        ("tests/lasagne_like/test_training_fit.py::test_the_right_batch_is_blamed_and_nothing_after_it_counts",),
    ),
    Mutant(
        "the random streams are not restored from a checkpoint",
        "lasagne_like/training/steps.py",
        "return {name: np.array(held[0].get_value()) for name, held in self.states.items()}",
        'return {n: np.array(h[0].get_value()) for n, h in self.states.items() if n[:6] != "random"}',
        ("tests/lasagne_like/test_training_checkpoints.py::test_every_optimiser_goes_on[momentum]",),
    ),
    Mutant(
        "parameters that are trained again share the step count of the others",
        "lasagne_like/training/core.py",
        "self._generations.get(param, later)",
        "self._generations.get(param, 0)",
        ("tests/lasagne_like/test_training_fit.py::test_freezing_after_the_first_fit_takes_effect",),
    ),
    Mutant(
        "one item per prediction is broadcast against all targets",
        "lasagne_like/training/graphs.py",
        "    if not _crosses(result, prediction, target):\n        return result\n    if target.ndim",
        "    if True:\n        return result\n    if target.ndim",
        ("tests/lasagne_like/test_training_tasks.py::test_a_vector_and_a_column_never_broadcast[False]",),
    ),
    Mutant(
        "an altered model file is loaded",
        "lasagne_like/files/model_file.py",
        '    if metadata.get("sha256") != found:',
        '    if metadata.get("sha256") == "":',
        ("tests/lasagne_like/test_model_file.py::test_the_digest_covers_the_description",),
    ),
    Mutant(
        "a tensor of a PyTorch file may exceed its storage",
        "lasagne_like/files/torch.py",
        "    if count and (last >= tensor.storage.count or count > tensor.storage.count):",
        "    if count and count > tensor.storage.count:",
        ("tests/lasagne_like/test_foreign_weights.py::test_crafted_tensors",),
    ),
    Mutant(
        "a weight file's pickle may name any function",
        "lasagne_like/pickles.py",
        "    if stand_in is None:\n        allowed",
        "    if stand_in is None and hasattr(__import__(module), name):\n"
        "        return getattr(__import__(module), name)\n"
        "    if stand_in is None:\n        allowed",
        ("tests/lasagne_like/test_files.py::test_hostile_pickles_are_refused_by_name",),
    ),
    Mutant(
        "the random numbers of an item do not depend on the epoch",
        "lasagne_like/data/draws.py",
        "(self.seed, self.epoch, self.stream)",
        "(self.seed, self.stream)",
        ("tests/lasagne_like/test_data_augment.py::test_draws",),
    ),
    Mutant(
        "combined maps are applied in the wrong order",
        "lasagne_like/data/augment.py",
        "_composed(waiting, own)",
        "_composed(own, waiting)",
        ("tests/lasagne_like/test_data_augment.py::test_combined_maps_are_one_interpolation",),
    ),
    Mutant(
        "a loader left early keeps its threads",
        "lasagne_like/data/prefetch.py",
        "        pool.shutdown(wait=True, cancel_futures=True)",
        "        pass",
        ("tests/lasagne_like/test_data_loader.py::test_threads_end_and_leaving_early_is_clean",),
    ),
    Mutant(
        "estimators of equal structure share weights",
        "lasagne_like/estimators.py",
        "            machine.set_weights(self.weights_)\n",
        "",
        ("tests/lasagne_like/test_estimators.py::test_machines_are_shared_but_weights_are_not",),
    ),
    Mutant(
        "rotated pictures in the graph turn the other way",
        "lasagne_like/layers/augmentation.py",
        "y, x = cos * y + sin * x, cos * x - sin * y",
        "y, x = cos * y - sin * x, cos * x + sin * y",
        ("tests/lasagne_like/test_layers_augmentation.py::test_affine_map",),
    ),
]

SHORT = (
    "the padding of a convolution gains a row of zeros",
    "less-than holds for equals, in the code and in its NumPy meaning alike",
    "Nesterov's momentum uses the old velocity",
)
"""Those that every run of the suite tries: two that once passed it, and one of the layers."""
