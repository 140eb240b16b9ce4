"""What a network looks at: class activation maps, attention maps, statistics over data, pictures, one report.

Everything takes the model first and images or data second, and works on any functional Keras model; attention is found
wherever a layer offers it.
"""

from __future__ import annotations

from kattn.explain.attending.editing import edit as edit
from kattn.explain.attending.editing import editable as editable
from kattn.explain.attending.maps import attention as attention
from kattn.explain.attending.maps import attention_values as attention_values
from kattn.explain.attending.model import with_attention as with_attention
from kattn.explain.attending.theta import sampling_grid as sampling_grid
from kattn.explain.class_maps.cam import cam as cam
from kattn.explain.class_maps.grad_cam import grad_cam as grad_cam
from kattn.explain.class_maps.grad_cam_plus_plus import grad_cam_plus_plus as grad_cam_plus_plus
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
