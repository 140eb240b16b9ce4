"""An attention placed in one network: what a backbone calls at its sites."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

from kattn.graph.calls import free_name
from kattn.zoo.grammar.combining import AnyAttention
from kattn.zoo.grammar.convolutions import before_convolutions
from kattn.zoo.grammar.factories import (
    Factory,
    check_shape,
    identity,
    layer_name,
    made,
    neutral,
    plain_conv,
    plain_tail,
)
from kattn.zoo.grammar.sites import SITES, Attention

# Sites that a network need not reach: the tail is always there, and a stage of one block has no earlier maps.
OPTIONAL = ("tail", "integrated")
Block = tuple[int, int] | None  # number, counted from 1, and how many the stage has


class Sites:
    """The sites of a network.

    Attributes:
        attention: What stands at them.
        count: Number of stages.
        neutral: Whether layers change nothing until they are trained: what each changes is added by a learned scale
            that starts at zero.
        placed: The parts of the attention that stand anywhere so far.
    """

    def __init__(self, attention: AnyAttention, stages: int, *, neutral: bool = False) -> None:
        self.attention = attention
        self.count = stages
        self.neutral = neutral
        self.placed: set[int] = set()
        self.names: set[str] = set()

    def stage(self, number: int, blocks: int = 1, prefix: str = "") -> StageSites:
        """The sites of one stage, counted from 1."""
        return StageSites(self, number, blocks, prefix)

    def between_stages(self, x: Any, stage: int) -> Any:
        """The boundary after this stage."""
        return self.apply("between_stages", x, f"stage{stage}", stage)

    def tail(self, x: Any, last_stage: Callable[..., Any], head: Any) -> Any:
        """The network's end, from the output of the second-to-last stage."""
        tail = self.replaced("tail") or plain_tail
        if not self.neutral:
            return tail(x, last_stage, head)

        def blended(y: Any, prefix: str = "", **options: Any) -> Any:
            return last_stage(y if prefix or y is x else neutral(None, x, y, "tail_scale"), prefix=prefix, **options)

        return tail(x, blended, head)

    def unplaced(self) -> list[str]:
        """The sites of the parts that stand nowhere."""
        parts = [part for number, part in enumerate(self.attention.parts) if number not in self.placed]
        return [site for part in parts for site in part.used_sites() if site not in OPTIONAL]

    def replaced(self, site: str, stage: int | None = None, block: Block = None) -> Factory | None:
        """What takes the plain network's place at a site where only one can stand; None where nothing does."""
        for number, part in enumerate(self.attention.parts):
            if getattr(part, site) is not SITES[site] and self.wanted(part, stage, block):
                self.placed.add(number)
                return getattr(part, site)
        return None

    def wanted(self, part: Attention, stage: int | None, block: Block) -> bool:
        """Whether a part is wanted in a stage, and in a block (number, count) of it."""
        if stage is None:
            return True
        return part.stages(stage, self.count) if block is None else part.in_block(*block, stage, self.count)

    def at_convolutions(self) -> contextlib.AbstractContextManager[None]:
        """Within it, what the attention has at `conv_input` stands in front of every convolution that is built."""
        return before_convolutions(lambda x, name: self.apply("conv_input", x, name))

    def apply(self, site: str, x: Any, name: str, stage: int | None = None, block: Block = None) -> Any:
        """Apply what stands at a site, one after another; the tensor itself where nothing stands."""
        for number, part in enumerate(self.attention.parts):
            factory = getattr(part, site)
            if factory is identity or not self.wanted(part, stage, block):
                continue
            self.placed.add(number)
            own = free_name(f"{name}_{layer_name(factory)}", self.names)
            self.names.add(own)
            layer = made(factory, own)
            y = layer(x)
            check_shape(factory, own, x, y)
            x = neutral(layer, x, y, f"{own}_scale") if self.neutral else y
        return x


class StageSites:
    """The sites of one stage; holds what lives as long as the stage does."""

    def __init__(self, sites: Sites, number: int, blocks: int, prefix: str) -> None:
        self.sites = sites
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
            self.first_convs[branch] = (self.sites.replaced("first_conv", self.number) or plain_conv)()
        return self.first_convs[branch]

    def stage_input(self, x: Any) -> Any:
        """The input of the stage's first block."""
        return self.sites.apply("stage_input", x, f"{self.name}_input", self.number)

    def block(self, number: int) -> BlockSites:
        """The sites of one block, counted from 1."""
        return BlockSites(self, number)


class BlockSites:
    """The sites of one block. Each maps a tensor to a tensor; in the plain network it is the same one."""

    def __init__(self, stage: StageSites, number: int) -> None:
        self.stage = stage
        self.number = number
        self.name = f"{stage.name}_block{number}"

    def _apply(self, site: str, x: Any) -> Any:
        return self.stage.sites.apply(site, x, self.name, self.stage.number, (self.number, self.stage.blocks))

    def input(self, x: Any) -> Any:
        """The input of the residual branch."""
        return self._apply("input", x)

    def integrated(self, x: Any) -> Any:
        """The earlier maps that `first_conv` uses again."""
        return self._apply("integrated", x)

    def inner(self, x: Any, *, widest: bool = False) -> Any:
        """After the 3x3 convolution. `widest`: the branch is as wide nowhere else."""
        x = self._apply("inner", x)
        return self._apply("widest", x) if widest else x

    def before_norm(self, x: Any) -> Any:
        """Between the last 3x3 convolution and its normalisation."""
        return self._apply("before_norm", x)

    def residual(self, x: Any, *, widest: bool = True) -> Any:
        """The end of the residual branch. `widest`: see `inner`; a block says it once."""
        x = self._apply("residual", x)
        return self._apply("widest", x) if widest else x

    def shortcut(self, x: Any) -> Any:
        """The shortcut."""
        return self._apply("shortcut", x)

    def output(self, x: Any) -> Any:
        """After the addition."""
        return self._apply("output", x)

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
        if "first_conv" not in self.stage.sites.attention.used_sites() and kernel_size > 1:
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
        stage = self.stage
        factory = stage.sites.replaced("spatial_conv", stage.number, (self.number, stage.blocks)) or plain_conv
        return factory()(x, filters, kernel_size, strides, name=f"{self.name}_conv{number}", at=self, **options)
