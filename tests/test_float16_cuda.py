"""float16 on the emulated GPU: what the CPU's tests ask of it, and its conversions."""

from __future__ import annotations

import pytest
import test_float16 as on_the_cpu

pytestmark = pytest.mark.usefixtures("emulated_device")


@on_the_cpu.GROUPS
def test_compiled(start: int) -> None:
    on_the_cpu.check_compiled(start, "cuda")


def test_conversions() -> None:
    on_the_cpu.check_conversions("cuda")


@pytest.mark.parametrize(
    "check",
    [
        on_the_cpu.test_a_value_between_ops_is_not_rounded_and_one_that_is_cast_is,
        on_the_cpu.test_sums_are_added_up_in_float32,
        on_the_cpu.test_bodies_and_python_ops_see_float16,
        on_the_cpu.test_a_training_step_with_float16_weights_and_a_float32_master_copy,
    ],
)
def test_program(check) -> None:
    check("cuda")
