"""What a check of a layer found."""

from __future__ import annotations

from dataclasses import dataclass

from kattn.layer_checks.running import CheckFailed

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        name: Of the check.
        state: "passed", "failed" or "skipped".
        said: What was found, what is wrong, or why it does not apply.
    """

    name: str
    state: str
    said: str


@dataclass(frozen=True)
class LayerReport:
    """What `kattn.layers.check` found; printed, it is a table.

    Attributes:
        layer: Name of the layer's class.
        findings: One a check, in order.
    """

    layer: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(one.state != FAILED for one in self.findings)

    def require(self) -> LayerReport:
        """Raise an AssertionError with the table unless everything passed: for tests. Returns: the report itself."""
        if not self.passed:
            raise CheckFailed(str(self))
        return self

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        states = [one.state for one in self.findings]
        counts = ", ".join(f"{states.count(each)} {each}" for each in (PASSED, FAILED, SKIPPED) if each in states)
        width = max((len(one.name) for one in self.findings), default=0)
        return "\n".join(
            [f"{self.layer}: {counts}", *(f"  {o.name:<{width}}  {o.state:<7}  {o.said}" for o in self.findings)]
        )
