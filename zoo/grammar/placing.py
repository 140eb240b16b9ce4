"""An attention placed in one network: what a backbone calls at its sites."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from kattn.zoo.grammar.factories import Factory, identity, layer_name, plain_conv
from kattn.zoo.grammar.sites import Attention


class Sites:
    """The sites of a network.

    Attributes:
        attention: What stands at them.
        count: Number of stages.
        placed: Whether the attention stands anywhere so far, its tail apart.
    """

    def __init__(self, attention: Attention, stages: int) -> None:
        self.attention = attention
        self.count = stages
        self.placed = False

    def stage(self, number: int, blocks: int = 1, prefix: str = "") -> StageSites:
        """The sites of one stage, counted from 1."""
        return StageSites(self, number, blocks, prefix)

    def applies(self, stage: int) -> bool:
        """Whether the attention is wanted in this stage."""
        return self.attention.stages(stage, self.count)

    def between_stages(self, x: Any, stage: int) -> Any:
        """The boundary after this stage."""
        return self.apply(self.attention.between_stages, x, f"stage{stage}", self.applies(stage))

    def apply(self, factory: Factory, x: Any, name: str, applies: bool) -> Any:
        """Apply what the factory makes; the tensor itself where nothing stands."""
        if not applies or factory is identity:
            return x
        self.placed = True
        return factory(name=f"{name}_{layer_name(factory)}")(x)


class StageSites:
    """The sites of one stage; holds what lives as long as the stage does."""

    def __init__(self, sites: Sites, number: int, blocks: int, prefix: str) -> None:
        self.sites = sites
        self.attention = sites.attention
        self.applies = sites.applies(number)
        self.number = number
        self.blocks = blocks
        self.name = f"{prefix}stage{number}"
        self.start_run()

    def start_run(self) -> None:
        """Start a new run of blocks. `first_conv` remembers the maps of one run, which in most networks is a stage."""
        self.first_convs: dict[str, Callable[..., Any]] = {}

    def first_conv(self, branch: str = "") -> Callable[..., Any]:
        """The run's first convolution; where blocks have several branches, each branch has its own."""
        if branch not in self.first_convs:
            factory = self.attention.first_conv if self.applies else plain_conv
            self.sites.placed |= factory is not plain_conv
            self.first_convs[branch] = factory()
        return self.first_convs[branch]

    def stage_input(self, x: Any) -> Any:
        """The input of the stage's first block."""
        return self.sites.apply(self.attention.stage_input, x, f"{self.name}_input", self.applies)

    def block(self, number: int) -> BlockSites:
        """The sites of one block, counted from 1."""
        return BlockSites(self, number)


class BlockSites:
    """The sites of one block. Each maps a tensor to a tensor; in the plain network it is the same one."""

    def __init__(self, stage: StageSites, number: int) -> None:
        self.stage = stage
        self.number = number
        self.attention = stage.attention
        self.applies = stage.applies and stage.attention.blocks(number, stage.blocks)
        self.name = f"{stage.name}_block{number}"

    def _apply(self, factory: Factory, x: Any) -> Any:
        return self.stage.sites.apply(factory, x, self.name, self.applies)

    def input(self, x: Any) -> Any:
        """The input of the residual branch."""
        return self._apply(self.attention.input, x)

    def integrated(self, x: Any) -> Any:
        """The earlier maps that `first_conv` uses again."""
        return self._apply(self.attention.integrated, x)

    def inner(self, x: Any) -> Any:
        """After the 3x3 convolution."""
        return self._apply(self.attention.inner, x)

    def residual(self, x: Any) -> Any:
        """The end of the residual branch."""
        return self._apply(self.attention.residual, x)

    def shortcut(self, x: Any) -> Any:
        """The shortcut."""
        return self._apply(self.attention.shortcut, x)

    def output(self, x: Any) -> Any:
        """After the addition."""
        return self._apply(self.attention.output, x)

    def first_conv(
        self,
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        *,
        later_strides: int = 1,
        branch: str = "",
        **options: Any,
    ) -> Any:
        """The block's first convolution with its normalisation and activation.

        Args:
            later_strides: The stride of the rest of the block. Where a strided 3x3 follows a 1x1 convolution, the
                latter gives maps at twice the stage's resolution.
            branch: Name of the branch, in blocks of several.
            options: Of `conv_bn`.
        """
        if self.attention.first_conv is plain_conv and kernel_size > 1:
            return self.spatial_conv(x, filters, kernel_size, strides, number=1, **options)
        at = self
        if branch:
            at = copy.copy(self)
            at.name = f"{self.name}_{branch}"
        return self.stage.first_conv(branch)(
            x, filters, kernel_size, strides, name=f"{at.name}_conv1", at=at, later_strides=later_strides, **options
        )

    def spatial_conv(
        self, x: Any, filters: int, kernel_size: int, strides: int = 1, *, number: int = 2, **options: Any
    ) -> Any:
        """The block's 3x3 convolution, with its stride, normalisation and activation."""
        factory = self.attention.spatial_conv if self.applies else plain_conv
        self.stage.sites.placed |= factory is not plain_conv
        return factory()(x, filters, kernel_size, strides, name=f"{self.name}_conv{number}", at=self, **options)
