"""Where attention goes in a network.

"A layer applied to a tensor" describes SE and little else. A mechanism has a place (a *site*: the residual branch, the
first convolution, the boundary between stages, the head) and a lifetime (a block, a stage, the network). `Attention`
holds one factory a site. A backbone is a plain function that calls every site it has; in the plain network the sites
change nothing. So no backbone knows a mechanism, and no mechanism knows a backbone:

    def basic_block(x, filters, strides, at):
        shortcut = at.shortcut(project(x, filters, strides, at.name))
        y = at.inner(at.first_conv(at.input(x), filters, 3, strides))
        y = at.residual(conv_bn(y, filters, 3, activation=None, name=f"{at.name}_conv2"))
        return at.output(add_relu(shortcut, y, at.name))
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kattn.zoo.grammar.factories import Factory, factory_options, identity, plain_conv, plain_tail

# (number, count), counted from 1, to whether the attention is wanted there.
Rule = Callable[[int, int], bool]
# (block, blocks, stage, stages), counted from 1, to the same.
BlockRule = Callable[[int, int, int, int], bool]


def every(number: int, count: int) -> bool:
    """All stages, or all blocks."""
    return True


def anywhere(block: int, blocks: int, stage: int, stages: int) -> bool:
    """All blocks of all stages."""
    return True


@dataclass(frozen=True)
class Attention:
    """One row of the table of attentions: a factory for each site.

    A factory is called with the mechanism's options and `name`, and gives a callable on tensors, such as a layer.

    Attributes:
        input: Each block: the input of the residual branch.
        first_conv: One a stage; replaces the first convolution of the stage's blocks:
            (x, filters, kernel_size, strides, *, name, at, activation, groups, later_strides) to the activated x.
        integrated: Each block: the earlier maps that a `first_conv` uses again (AFI's R).
        spatial_conv: Each block: replaces the 3x3 convolution, with its stride; same signature as `first_conv`.
        inner: Each block: after the 3x3 convolution.
        before_norm: Each block: between its last 3x3 convolution and the normalisation of that.
        residual: Each block: the end of the residual branch, before the addition.
        widest: Each block: where its residual branch is widest: at the end, but in blocks that expand their input
            after the 3x3 convolution of the expanded maps.
        shortcut: Each block: the shortcut.
        output: Each block: after the addition.
        stage_input: Each stage: the input of its first block.
        between_stages: Each boundary between two stages.
        conv_input: The network: the input of every convolution, those of the stem and the shortcuts included.
        tail: Once: (x, last_stage, head, **options) to the network's outputs; `last_stage` is a function.
        stages: In which stages the sites apply.
        blocks: In which blocks of a stage the per-block sites apply.
        blocks_of_stages: The same where stages differ: strip pooling stands in other blocks of the last stage.
        partners: (site, another): what other mechanisms have at the site stands at the other one beside this mechanism.
        paper: Where the mechanism was published.
    """

    input: Factory = identity
    first_conv: Factory = plain_conv
    integrated: Factory = identity
    spatial_conv: Factory = plain_conv
    inner: Factory = identity
    before_norm: Factory = identity
    residual: Factory = identity
    widest: Factory = identity
    shortcut: Factory = identity
    output: Factory = identity
    stage_input: Factory = identity
    between_stages: Factory = identity
    conv_input: Factory = identity
    tail: Factory = plain_tail
    stages: Rule = every
    blocks: Rule = every
    blocks_of_stages: BlockRule = anywhere
    partners: tuple[tuple[str, str], ...] = ()
    paper: str = ""

    @property
    def parts(self) -> tuple[Attention, ...]:
        """This attention alone: what a combination has several of."""
        return (self,)

    @property
    def divided(self) -> set[str]:
        """Options whose defaults differ from part to part: none, in one part."""
        return set()

    def standing(self, site: str) -> list[Factory]:
        """What stands at a site: its factory, or nothing in the plain network."""
        return [] if getattr(self, site) is SITES[site] else [getattr(self, site)]

    def used_sites(self) -> tuple[str, ...]:
        """Names of the sites that are not the plain network's."""
        return tuple(site for site in SITES if getattr(self, site) is not SITES[site])

    def in_block(self, block: int, blocks: int, stage: int, stages: int) -> bool:
        """Whether the per-block sites apply in this block, all numbers counted from 1."""
        return (
            self.stages(stage, stages)
            and self.blocks(block, blocks)
            and self.blocks_of_stages(block, blocks, stage, stages)
        )

    def movable(self) -> str | None:
        """The site whose layer `position=` can move to another place; None where nothing can be moved."""
        used = self.used_sites()
        return used[0] if len(used) == 1 and used[0] in POSITIONS else None

    def options(self) -> dict[str, inspect.Parameter]:
        """What a user can set by keyword: the options of the factories, then `stages` and `position`."""
        found: dict[str, inspect.Parameter] = {}
        used = self.used_sites()
        for site in used:
            for option in factory_options(getattr(self, site)):
                found.setdefault(option.name, option)
        keyword = inspect.Parameter.KEYWORD_ONLY
        if not OF_NETWORK.issuperset(used):
            found["stages"] = inspect.Parameter(
                "stages", keyword, default=None, annotation="collections.abc.Iterable[int] | None"
            )
        if self.movable():
            found["position"] = inspect.Parameter("position", keyword, default=self.movable(), annotation="str")
        return found

    def bind(self, **options: Any) -> Attention:
        """This attention with options set. An option goes to every factory that has it.

        Raises: TypeError for an option that no factory has (lists those there are); ValueError for a position or a
            stage that does not exist.
        """
        valid = self.options()
        unknown = sorted(set(options) - set(valid))
        if unknown:
            raise TypeError(f"Unknown option {', '.join(unknown)}. Options: {', '.join(sorted(valid)) or 'none'}.")
        changes: dict[str, Any] = {}
        for site in self.used_sites():
            factory = getattr(self, site)
            own = {o.name for o in factory_options(factory)} & set(options)
            if own:
                changes[site] = functools.partial(factory, **{name: options[name] for name in own})
        if options.get("stages") is not None:
            changes["stages"] = only_stages(options["stages"])
        home = self.movable()
        position = options.get("position", home)
        if home is not None and position != home:
            if position not in POSITIONS:
                raise ValueError(f"position must be one of {', '.join(POSITIONS)}. Received: {position!r}")
            changes |= {position: changes.get(home, getattr(self, home)), home: identity}
        return dataclasses.replace(self, **changes)


def replaces_convolutions(sites: Iterable[str]) -> bool:
    """Whether attention at these sites takes the place of convolutions: the plain network's weights are not its."""
    return any(SITES[site] is plain_conv for site in sites)


def chosen_stages(attention: Any, count: int) -> tuple[int, ...]:
    """The stages of a network of so many that all parts of an attention apply to; empty where these differ.

    Raises: as `only_stages`.
    """
    placed = [part for part in attention.parts if part.used_sites() != ("tail",)]
    found = {tuple(stage for stage in range(1, count + 1) if part.stages(stage, count)) for part in placed}
    return found.pop() if len(found) == 1 else ()


def only_stages(stages: int | Iterable[int]) -> Rule:
    """A rule for these stages alone. It raises a ValueError in a network that does not have all of them."""
    chosen = {stages} if isinstance(stages, int) else set(stages)

    def rule(stage: int, count: int) -> bool:
        outside = sorted(s for s in chosen if not (isinstance(s, int) and 1 <= s <= count))
        if outside or not chosen:
            raise ValueError(f"stages must name some of 1..{count}. Received: {sorted(chosen, key=str)}")
        return stage in chosen

    return rule


# Every site with the plain network's factory.
SITES: Mapping[str, Factory] = {
    field.name: field.default  # type: ignore[misc]
    for field in dataclasses.fields(Attention)
    if field.name not in ("stages", "blocks", "blocks_of_stages", "partners", "paper")
}
# Sites that hold one thing only, in place of the plain network's.
REPLACED = tuple(site for site, factory in SITES.items() if factory is not identity)
POSITIONS = (
    "input",
    "inner",
    "before_norm",
    "residual",
    "widest",
    "shortcut",
    "output",
    "stage_input",
    "between_stages",
)
OF_NETWORK = frozenset(("conv_input", "tail"))  # in no stage, so they cannot be left out of some
