"""UP42's processes as typed templates: which process, with which parameters, and how items go into its inputs.

Ids and inputs are those of up42-py 4.3.0 (`processing_templates`). A process that is not here is used through
`AnyProcess`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.processing.keys import TITLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A process with its parameters; the base of all templates.

    Attributes:
        process_id: the process.
        item_inputs: names of the inputs that each name one item, in the order in which `inputs` takes the items.
        items_input: name of an input that lists any number of items; empty when there is none.
        finds_features: whether its results are features, on which no process here can work.
    """

    process_id: ClassVar[str]
    item_inputs: ClassVar[tuple[str, ...]] = ("item",)
    items_input: ClassVar[str] = ""
    finds_features: ClassVar[bool] = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Inputs that are no items, as they are sent."""
        return {}

    def inputs(self, items: Sequence[str]) -> dict[str, Any]:
        """The inputs of one job, without its title.

        Args:
            items: self hrefs of STAC items in UP42's storage: one; or source and reference.

        Raises:
            ConfigurationError: too few or too many items.
        """
        return _filled(self.process_id, self.item_inputs, self.items_input, items) | self.parameters


class Detection(Template):
    """A process that finds things in one item; the base of its templates."""

    finds_features = True


class DetectionBuildingsSpacept(Detection):
    """Outlines of buildings."""

    process_id = "detection-buildings-spacept"


class DetectionTreesSpacept(Detection):
    """Trees."""

    process_id = "detection-trees-spacept"


class DetectionShadowsSpacept(Detection):
    """Outlines of shadows."""

    process_id = "detection-shadows-spacept"


class DetectionShipsAirbus(Detection):
    """Ships."""

    process_id = "detection-ships-airbus"


class DetectionWindTurbinesAirbus(Detection):
    """Wind turbines."""

    process_id = "detection-wind-turbines-airbus"


class DetectionStorageTanksAirbus(Detection):
    """Storage tanks."""

    process_id = "detection-storage-tanks-airbus"


class DetectionTrucksOI(Detection):
    """Trucks."""

    process_id = "detection-trucks-oi"


class DetectionCarsOI(Detection):
    """Cars."""

    process_id = "detection-cars-oi"


class DetectionAircraftOI(Detection):
    """Aircraft."""

    process_id = "detection-aircraft-oi"


class UpsamplingNS(Template):
    """More and smaller pixels."""

    process_id = "upsampling-ns"


class UpsamplingNSSentinel(Template):
    """More and smaller pixels of Sentinel-2."""

    process_id = "upsampling-ns-sentinel"


class TrueColorConversion(Template):
    """Colours as the eye sees them."""

    process_id = "true-color-conversion"


class OrthorectificationIntermap(Template):
    """Without the distortion of terrain."""

    process_id = "orthorectification-intermap"


class CoregistrationSimularity(Template):
    """The source aligned with the reference. Items: source, reference."""

    process_id = "coregistration-simularity"
    item_inputs = ("sourceItem", "referenceItem")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionChangeSimularity(Template):
    """What differs between source and reference. Items: source, reference.

    Attributes:
        sensitivity: a whole number; 2 is UP42's own default.
    """

    process_id: ClassVar[str] = "detection-change-simularity"
    item_inputs: ClassVar[tuple[str, ...]] = ("sourceItem", "referenceItem")
    finds_features: ClassVar[bool] = True

    sensitivity: int = 2

    @property
    def parameters(self) -> dict[str, Any]:
        """The sensitivity."""
        return {"sensitivity": self.sensitivity}


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyWeight:
    """What a band contributes to the simulated panchromatic band.

    Attributes:
        band: name of the band, for example `red`.
        weight: its share, 0 to 1.
    """

    band: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pansharpening(Template):
    """The colours of the multispectral bands at the resolution of the panchromatic one.

    Attributes:
        grey_weights: of the bands; UP42's own when empty.
    """

    process_id: ClassVar[str] = "pansharpening"

    grey_weights: tuple[GreyWeight, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """The weights, if there are any."""
        return {"greyWeights": [asdict(weight) for weight in self.grey_weights]} if self.grey_weights else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyProcess:
    """A process that has no template here, by its id; checked against UP42's description of it before it is bought.

    Attributes:
        process_id: the process.
        parameters: inputs that are no items, as they are sent.
        item_inputs: names of the inputs that each name one item.
        items_input: name of an input that lists any number of items; empty when there is none.

    Raises:
        ConfigurationError: a parameter has the name of an input that is filled otherwise.
    """

    process_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    item_inputs: tuple[str, ...] = ("item",)
    items_input: str = ""

    def __post_init__(self) -> None:
        """Refuse a parameter that would take the place of an item, or of the title by which the job is found."""
        if taken := {TITLE, self.items_input, *self.item_inputs} & set(self.parameters):
            raise ConfigurationError(
                f"Process {self.process_id}: {', '.join(sorted(taken))} cannot be a parameter: items or title go in."
            )

    def inputs(self, items: Sequence[str]) -> dict[str, Any]:
        """As `Template.inputs`."""
        return _filled(self.process_id, self.item_inputs, self.items_input, items) | dict(self.parameters)


TEMPLATES: Mapping[str, type[Template]] = {
    template.process_id: template
    for template in (
        DetectionBuildingsSpacept,
        DetectionTreesSpacept,
        DetectionShadowsSpacept,
        DetectionShipsAirbus,
        DetectionWindTurbinesAirbus,
        DetectionStorageTanksAirbus,
        DetectionTrucksOI,
        DetectionCarsOI,
        DetectionAircraftOI,
        UpsamplingNS,
        UpsamplingNSSentinel,
        TrueColorConversion,
        OrthorectificationIntermap,
        CoregistrationSimularity,
        DetectionChangeSimularity,
        Pansharpening,
    )
}
"""By process id."""


def _filled(process_id: str, item_inputs: Sequence[str], items_input: str, items: Sequence[str]) -> dict[str, Any]:
    if items_input:
        if not items:
            raise ConfigurationError(f"Process {process_id} needs at least one item for its input {items_input}.")
        return {items_input: list(items)}
    if len(items) != len(item_inputs):
        wanted = ", ".join(item_inputs)
        raise ConfigurationError(f"Process {process_id} takes {len(item_inputs)} item(s) ({wanted}), not {len(items)}.")
    return dict(zip(item_inputs, items, strict=True))
