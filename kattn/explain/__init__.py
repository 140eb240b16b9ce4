"""What a network looks at: class activation maps, attention maps, statistics over data, pictures, one report.

Every function takes the model first and images or data second, and works on any functional Keras model; attention is
found wherever a layer offers it.
"""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.explain.attending.editing import edit as edit
    from kattn.explain.attending.editing import editable as editable
    from kattn.explain.attending.map_output import with_attention as with_attention
    from kattn.explain.attending.maps import attention as attention
    from kattn.explain.attending.maps import attention_values as attention_values
    from kattn.explain.attending.theta import sampling_grid as sampling_grid
    from kattn.explain.class_maps.by_average import cam as cam
    from kattn.explain.class_maps.by_gradient import grad_cam as grad_cam
    from kattn.explain.class_maps.by_gradient import grad_cam_plus_plus as grad_cam_plus_plus
    from kattn.explain.drawing.pictures import overlay as overlay
    from kattn.explain.drawing.pictures import overlay_original as overlay_original
    from kattn.explain.drawing.pictures import save_figure as save_figure
    from kattn.explain.drawing.plots import channels_figure as channels_figure
    from kattn.explain.drawing.plots import correlation_figure as correlation_figure
    from kattn.explain.drawing.plots import faithfulness_figure as faithfulness_figure
    from kattn.explain.drawing.plots import gate_figure as gate_figure
    from kattn.explain.drawing.plots import grid_figure as grid_figure
    from kattn.explain.drawing.plots import selectivity_figure as selectivity_figure
    from kattn.explain.drawing.plots import weights_figure as weights_figure
    from kattn.explain.drawing.read import batch_of as batch_of
    from kattn.explain.drawing.read import read_images as read_images
    from kattn.explain.drawing.sheets import contact_sheet as contact_sheet
    from kattn.explain.reports.run import report as report
    from kattn.explain.statistics.area import activation_area as activation_area
    from kattn.explain.statistics.correlations import ChannelCorrelationLog as ChannelCorrelationLog
    from kattn.explain.statistics.correlations import channel_correlations as channel_correlations
    from kattn.explain.statistics.correlations import mean_correlation as mean_correlation
    from kattn.explain.statistics.drivers import top_channels as top_channels
    from kattn.explain.statistics.faithfulness import deletion_insertion as deletion_insertion
    from kattn.explain.statistics.faithfulness import pointing_game as pointing_game
    from kattn.explain.statistics.gates import gate_statistics as gate_statistics
    from kattn.explain.statistics.selectivity import class_selectivity as class_selectivity
    from kattn.explain.statistics.selectivity import selectivity_index as selectivity_index

__getattr__, __dir__ = face(
    __name__,
    {
        "ChannelCorrelationLog": "statistics.correlations",
        "activation_area": "statistics.area",
        "attention": "attending.maps",
        "attention_values": "attending.maps",
        "batch_of": "drawing.read",
        "cam": "class_maps.by_average",
        "channel_correlations": "statistics.correlations",
        "channels_figure": "drawing.plots",
        "class_selectivity": "statistics.selectivity",
        "contact_sheet": "drawing.sheets",
        "correlation_figure": "drawing.plots",
        "deletion_insertion": "statistics.faithfulness",
        "edit": "attending.editing",
        "editable": "attending.editing",
        "faithfulness_figure": "drawing.plots",
        "gate_figure": "drawing.plots",
        "gate_statistics": "statistics.gates",
        "grad_cam": "class_maps.by_gradient",
        "grad_cam_plus_plus": "class_maps.by_gradient",
        "grid_figure": "drawing.plots",
        "mean_correlation": "statistics.correlations",
        "overlay": "drawing.pictures",
        "overlay_original": "drawing.pictures",
        "pointing_game": "statistics.faithfulness",
        "read_images": "drawing.read",
        "report": "reports.run",
        "sampling_grid": "attending.theta",
        "save_figure": "drawing.pictures",
        "selectivity_figure": "drawing.plots",
        "selectivity_index": "statistics.selectivity",
        "top_channels": "statistics.drivers",
        "weights_figure": "drawing.plots",
        "with_attention": "attending.map_output",
    },
)
