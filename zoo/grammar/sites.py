"""Where attention goes in a network.

"A layer applied to a tensor" describes SE and little else. A mechanism has a place (a *site*: the residual branch, the
first convolution, the boundary between stages, the head) and a lifetime (the site's scope: a block, a stage, the
network). `Attention` holds one factory a site; a backbone is a plain function that calls every site, and the defaults
are the plain network. So no backbone knows a mechanism and no mechanism knows a backbone:

    def basic_block(x, filters, strides, at):
        shortcut = at.shortcut(project(x, filters, strides, at.name))
        y = at.inner(at.first_conv(at.input(x), filters, 3, strides))
        y = at.residual(conv_bn(y, filters, 3, activation=None, name=f"{at.name}_conv2"))
        return at.output(add_relu(shortcut, y, at.name))
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kattn.layers.pieces.grouped import GroupedConv2D
from kattn.layers.pieces.norms import BN_EPSILON, batch_norm

Factory = Callable[..., Any]


# ---------------------------------------------------------------- pieces that backbones are written with


def kernel_initializer() -> keras.initializers.Initializer:
    """He's, by fan-out. One instance a layer: an instance without a seed of its own repeats its numbers in Keras 3."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")


def conv(
    x: Any,
    filters: int,
    kernel_size: int | tuple[int, int],
    strides: int = 1,
    *,
    groups: int = 1,
    use_bias: bool = False,
    padding: str = "same",
    separable: bool = False,
    name: str,
) -> Any:
    """A convolution that pads like the references: symmetrically, also where it strides (Keras's "same" does not).

    Args:
        padding: "valid" leaves the padding out; "end" is Keras's "same", which pads an even size at the bottom and the
            right only where the convolution strides, as TensorFlow's own networks do.
        separable: A depthwise convolution, then a 1x1 convolution to the filters.
    """
    if strides > 1 and padding == "same":
        x, padding = symmetric_padding(x, kernel_size, name=name), "valid"
    padding = "same" if padding == "end" else padding
    options: dict[str, Any] = {
        "strides": strides,
        "padding": padding,
        "use_bias": use_bias,
        "data_format": "channels_last",
        "name": name,
    }
    if separable:
        initializers = {f"{part}_initializer": kernel_initializer() for part in ("depthwise", "pointwise")}
        return keras.layers.SeparableConv2D(filters, kernel_size, **initializers, **options)(x)
    options["kernel_initializer"] = kernel_initializer()
    if groups > 1:
        return GroupedConv2D(filters, kernel_size, groups=groups, **options)(x)
    return keras.layers.Conv2D(filters, kernel_size, **options)(x)


def symmetric_padding(x: Any, kernel_size: int | tuple[int, int], *, name: str) -> Any:
    """Zeros on all sides, as many as an odd kernel needs."""
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if height == width == 1:
        return x
    return keras.layers.ZeroPadding2D((height // 2, width // 2), data_format="channels_last", name=f"{name}_pad")(x)


def bn_act(x: Any, activation: str | None = "relu", *, epsilon: float = BN_EPSILON, name: str) -> Any:
    """Batch normalisation, then an activation or none."""
    x = batch_norm(epsilon=epsilon, name=f"{name}_bn")(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def conv_bn(
    x: Any,
    filters: int,
    kernel_size: int | tuple[int, int],
    strides: int = 1,
    *,
    activation: str | None = "relu",
    norm: bool = True,
    epsilon: float = BN_EPSILON,
    name: str,
    **options: Any,
) -> Any:
    """Bias-free convolution, batch normalisation, activation.

    Args:
        norm: False leaves normalisation and activation to the next block, as a dense layer's last convolution does.
        epsilon: Of the normalisation.
        options: Of `conv`: groups, padding, separable.
    """
    x = conv(x, filters, kernel_size, strides, name=name, **options)
    return bn_act(x, activation, epsilon=epsilon, name=name) if norm else x


def depthwise_bn(
    x: Any,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    activation: str | None = "relu",
    padding: str = "same",
    name: str,
) -> Any:
    """Bias-free depthwise convolution, padded as `conv` does, batch normalisation, activation."""
    symmetric = strides > 1 and padding == "same"
    if symmetric:
        x = symmetric_padding(x, kernel_size, name=name)
    x = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides,
        padding="valid" if symmetric else "same",
        use_bias=False,
        depthwise_initializer=kernel_initializer(),
        data_format="channels_last",
        name=name,
    )(x)
    return bn_act(x, activation, name=name)


# ---------------------------------------------------------------- the sites


def identity(**_: Any) -> Callable[[Any], Any]:
    """The plain network's factory for every site that maps a tensor to a tensor."""
    return lambda x: x


def plain_conv(**_: Any) -> Callable[..., Any]:
    """The plain network's factory for the sites that are a convolution."""

    def apply(
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int,
        *,
        name: str,
        at: Any,
        later_strides: int = 1,
        **options: Any,
    ) -> Any:
        return conv_bn(x, filters, kernel_size, strides, name=name, **options)

    return apply


def plain_tail(x: Any, last_stage: Callable[..., Any], head: Head) -> Any:
    """The plain network's end: the last stage, then the head."""
    return head(last_stage(x))


def every(number: int, count: int) -> bool:
    """All stages, or all blocks."""
    return True


@dataclass(frozen=True)
class Attention:
    """One factory a site; a factory is called with the mechanism's options and `name`, and gives a callable.

    Attributes:
        input: Each block: the input of the residual branch.
        first_conv: Each stage makes one; it replaces the first convolution of the stage's blocks:
            (x, filters, kernel_size, strides, *, name, at, activation, groups, later_strides) to the activated x.
        integrated: Each block: the earlier maps that a `first_conv` takes up again (AFI's R).
        spatial_conv: Each block: replaces the 3x3 convolution, with its stride; same signature as `first_conv`.
        inner: Each block: after the 3x3 convolution.
        residual: Each block: the end of the residual branch, before the addition.
        shortcut: Each block: the shortcut.
        output: Each block: after the addition.
        stage_input: Each stage: what its first block takes.
        between_stages: Each boundary between two stages.
        tail: Once: (x, last_stage, head, **options) to the network's outputs; `last_stage` is a function.
        stages: (stage, number of stages), counted from 1, to whether the sites apply in that stage.
        blocks: (block, number of blocks), counted from 1, to whether the per-block sites apply in that block.
        paper: Where the mechanism was published.
    """

    input: Factory = identity
    first_conv: Factory = plain_conv
    integrated: Factory = identity
    spatial_conv: Factory = plain_conv
    inner: Factory = identity
    residual: Factory = identity
    shortcut: Factory = identity
    output: Factory = identity
    stage_input: Factory = identity
    between_stages: Factory = identity
    tail: Factory = plain_tail
    stages: Callable[[int, int], bool] = every
    blocks: Callable[[int, int], bool] = every
    paper: str = ""

    def used_sites(self) -> tuple[str, ...]:
        """Names of the sites that are not the plain network's."""
        return tuple(site for site in SITES if getattr(self, site) is not SITES[site])

    def movable(self) -> str | None:
        """The one site whose layer `position=` can move to another place, if there is one."""
        used = self.used_sites()
        return used[0] if len(used) == 1 and used[0] in POSITIONS else None

    def options(self) -> dict[str, inspect.Parameter]:
        """What a user can set by keyword: the options of the factories, then `stages` and `position`."""
        found: dict[str, inspect.Parameter] = {}
        for site in self.used_sites():
            for option in factory_options(getattr(self, site)):
                found.setdefault(option.name, option)
        used = self.used_sites()
        keyword = inspect.Parameter.KEYWORD_ONLY
        if used and used != ("tail",):
            found["stages"] = inspect.Parameter(
                "stages", keyword, default=None, annotation="collections.abc.Iterable[int] | None"
            )
        if self.movable():
            found["position"] = inspect.Parameter("position", keyword, default=self.movable(), annotation="str")
        return found

    def bind(self, **options: Any) -> Attention:
        """This attention with options set; an option goes to every factory that has it.

        Raises: TypeError for an option that no part has (lists those there are); ValueError for a position or a stage
            that does not exist.
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
            changes["stages"] = _stage_rule(options["stages"])
        position = options.get("position", self.movable())
        if position != self.movable():
            if position not in POSITIONS:
                raise ValueError(f"position must be one of {', '.join(POSITIONS)}. Received: {position!r}")
            home = self.movable()
            assert home is not None  # position is an option only where something can be moved
            changes |= {position: changes.get(home, getattr(self, home)), home: identity}
        return dataclasses.replace(self, **changes)


SITES: Mapping[str, Factory] = {
    field.name: field.default  # type: ignore[misc]
    for field in dataclasses.fields(Attention)
    if field.name not in ("stages", "blocks", "paper")
}
POSITIONS = ("input", "inner", "residual", "shortcut", "output", "stage_input", "between_stages")
# What a backbone decides, not its user; a layer that also returned its attention would be no step of a network.
NOT_OPTIONS = {"self", "name", "dtype", "filters", "strides", "groups", "x", "last_stage", "head", "return_attention"}


def factory_options(factory: Factory) -> list[inspect.Parameter]:
    """The keyword options of a layer class, a function, or a partial of one (what the partial sets is its default)."""
    preset: dict[str, Any] = {}
    while isinstance(factory, functools.partial):
        preset = {**factory.keywords, **preset}
        factory = factory.func
    factory = inspect.unwrap(factory)
    target = factory.__init__ if inspect.isclass(factory) else factory  # type: ignore[misc]
    return [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=preset.get(p.name, p.default))
        for p in inspect.signature(target).parameters.values()
        if p.name not in NOT_OPTIONS and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]


def as_conv(layer: type[keras.layers.Layer]) -> Factory:
    """A `spatial_conv` factory from a layer class that replaces the 3x3 convolution with its normalisation.

    The layer takes filters, strides and groups: those of the convolution it replaces, as SKNet in its ResNeXt.
    """

    def factory(**options: Any) -> Callable[..., Any]:
        def apply(x: Any, filters: int, kernel_size: int, strides: int, *, name: str, groups: int = 1, **_: Any) -> Any:
            return layer(filters, strides=strides, groups=groups, name=f"{name}_{_snake(layer)}", **options)(x)

        return apply

    factory.__wrapped__ = layer  # type: ignore[attr-defined]  # its options are the layer's
    return factory


def _stage_rule(stages: Iterable[int]) -> Callable[[int, int], bool]:
    chosen = {stages} if isinstance(stages, int) else set(stages)

    def rule(stage: int, count: int) -> bool:
        outside = sorted(s for s in chosen if not (isinstance(s, int) and 1 <= s <= count))
        if outside or not chosen:
            raise ValueError(f"stages must name some of 1..{count}. Received: {sorted(chosen, key=str)}")
        return stage in chosen

    return rule


def _snake(factory: Factory) -> str:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", inspect.unwrap(factory).__name__).lower()


# ---------------------------------------------------------------- what a backbone is handed


class Sites:
    """An attention in a network of so many stages: what a backbone calls.

    Attributes:
        placed: Whether the attention found a place so far, its tail apart.
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
        """What a factory makes of a tensor where it applies; the tensor itself in the plain network."""
        if not applies or factory is identity:
            return x
        self.placed = True
        return factory(name=f"{name}_{_snake(factory)}")(x)


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
        """Start a new run of blocks: `first_conv` remembers the maps of one run, in most networks the stage."""
        self.first_convs: dict[str, Callable[..., Any]] = {}

    def first_conv(self, branch: str = "") -> Callable[..., Any]:
        """The run's first convolution; a block of several branches has a run of maps in each."""
        if branch not in self.first_convs:
            self.first_convs[branch] = self.attention.first_conv() if self.applies else plain_conv()
            self.sites.placed |= self.applies and self.attention.first_conv is not plain_conv
        return self.first_convs[branch]

    def stage_input(self, x: Any) -> Any:
        """What the stage's first block takes."""
        return self.sites.apply(self.attention.stage_input, x, f"{self.name}_input", self.applies)

    def block(self, number: int) -> BlockSites:
        """The sites of one block, counted from 1."""
        return BlockSites(self, number)


class BlockSites:
    """The sites of one block: each takes a tensor and gives a tensor, the same one in the plain network."""

    def __init__(self, stage: StageSites, number: int) -> None:
        self.stage = stage
        self.number = number
        self.attention = stage.attention
        self.applies = stage.applies and stage.attention.blocks(number, stage.blocks)
        self.name = f"{stage.name}_block{number}"

    def input(self, x: Any) -> Any:
        """The input of the residual branch."""
        return self.stage.sites.apply(self.attention.input, x, self.name, self.applies)

    def integrated(self, x: Any) -> Any:
        """The earlier maps that `first_conv` takes up again."""
        return self.stage.sites.apply(self.attention.integrated, x, self.name, self.applies)

    def inner(self, x: Any) -> Any:
        """After the 3x3 convolution."""
        return self.stage.sites.apply(self.attention.inner, x, self.name, self.applies)

    def residual(self, x: Any) -> Any:
        """The end of the residual branch."""
        return self.stage.sites.apply(self.attention.residual, x, self.name, self.applies)

    def shortcut(self, x: Any) -> Any:
        """The shortcut."""
        return self.stage.sites.apply(self.attention.shortcut, x, self.name, self.applies)

    def output(self, x: Any) -> Any:
        """After the addition."""
        return self.stage.sites.apply(self.attention.output, x, self.name, self.applies)

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
            later_strides: By what the rest of the block shrinks the map: a 1x1 convolution before a strided 3x3 gives
                maps at twice the stage's resolution.
            branch: Which of the block's branches, where it has several.
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


# ---------------------------------------------------------------- stages and the whole


def unchanged(x: Any) -> Any:
    """The tensor itself."""
    return x


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Attributes:
        build: (x, strides, prefix) to x; a second call makes a second copy with weights of its own.
        strides: The stage's stride in the network.
        transition: What leads from this stage to the next and belongs to neither (DenseNet's transition layer).
        transition_strides: Its stride.
    """

    build: Callable[[Any, int, str], Any]
    strides: int = 1
    transition: Callable[[Any], Any] = unchanged
    transition_strides: int = 1


@dataclass(frozen=True)
class Head:
    """Pooling and classifier, or what `include_top=False` leaves of them.

    Attributes:
        classes: Number of classes; also the width of ABN's attention branch.
        activation: Of the classifier; None gives logits.
        include_top: False ends at the last map, pooled or not.
        pooling: None, "avg" or "max", with include_top=False.
        finish: Applied to the last stage's output first; set by `assemble`.
        classifier: Last map to logits, given the head, where that is not global average pooling and a dense layer.
    """

    classes: int
    activation: str | Callable[..., Any] | None = "softmax"
    include_top: bool = True
    pooling: str | None = None
    finish: Callable[[Any], Any] = unchanged
    classifier: Callable[[Any, Head], Any] | None = None

    def __call__(self, x: Any) -> Any:
        """Output of the last stage to class scores, or to features."""
        x = self.finish(x)
        if self.include_top:
            logits = self.classifier(x, self) if self.classifier else self.dense(self.global_average(x))
            return self.activate(logits, name="predictions")
        if self.pooling == "max":
            return keras.layers.GlobalMaxPooling2D(data_format="channels_last", name="max_pool")(x)
        return self.global_average(x) if self.pooling == "avg" else x

    @staticmethod
    def global_average(x: Any) -> Any:
        """Mean over height and width."""
        return keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="avg_pool")(x)

    def dense(self, x: Any) -> Any:
        """The last dense layer."""
        return keras.layers.Dense(self.classes, dtype=_at_least_float32(), name="logits")(x)

    def activate(self, x: Any, name: str) -> Any:
        """Logits to scores."""
        return keras.layers.Activation(self.activation or "linear", dtype=_at_least_float32(), name=name)(x)


def _at_least_float32() -> str | None:
    # Scores in half precision would cost the loss its small probabilities.
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None


def run_stage(
    x: Any,
    block: Callable[..., Any],
    blocks: int,
    sites: Sites,
    number: int,
    *,
    filters: int,
    strides: int,
    prefix: str = "",
) -> Any:
    """A stage of equal blocks, `block(x, filters, strides, at)`, of which the first strides."""
    stage = sites.stage(number, blocks, prefix)
    x = stage.stage_input(x)
    for i in range(1, blocks + 1):
        x = block(x, filters, strides if i == 1 else 1, stage.block(i))
    return x


def assemble(
    x: Any,
    stages: Sequence[Stage],
    sites: Sites,
    head: Head,
    *,
    stem_strides: int,
    finish: Callable[[Any], Any] = unchanged,
    widen: Callable[[Any], Any] = unchanged,
) -> Any:
    """The network behind its stem: stages with their boundaries, then the tail, which is given the last stage as a
    function.

    The map at the end of a resolution is marked by a layer named after its level ("C3" has stride 8), which is what
    `kattn.zoo.features` looks for.

    Args:
        x: Output of the stem.
        stages: In order.
        sites: Of the network.
        head: The final map to the outputs.
        stem_strides: Of x against the input.
        finish: What pre-activation networks do to the last stage's output; the last level is marked behind it.
        widen: What comes between the last level and the pooling (MobileNetV2's 1x1 convolution).
    """
    if len(stages) != sites.count:
        raise ValueError(f"sites were made for {sites.count} stages, the network has {len(stages)}")
    strides = stem_strides
    if stages[0].strides > 1:
        x = _mark_level(x, strides)
    for number, stage in enumerate(stages[:-1], start=1):
        strides *= stage.strides
        x = sites.between_stages(stage.build(x, stage.strides, ""), number)
        if stage.transition_strides * stages[number].strides > 1:
            x = _mark_level(x, strides)
        x = stage.transition(x)
        strides *= stage.transition_strides
    last = stages[-1]

    def last_stage(x: Any, strides: int = last.strides, prefix: str = "") -> Any:
        return last.build(x, strides, prefix)

    def finished(x: Any) -> Any:
        return widen(_mark_level(finish(x), strides * last.strides))

    return sites.attention.tail(x, last_stage, dataclasses.replace(head, finish=finished))


def _mark_level(x: Any, strides: int) -> Any:
    return keras.layers.Identity(name=f"C{int(math.log2(strides))}")(x)
