"""Attribution: which parts of a picture a network's decision depends on.

Every function takes a network and pictures and returns maps as NumPy arrays; :mod:`lasagne_like.plot` draws them. The
network is used in deterministic mode and is not changed.

The *score* of a class is the value before the softmax or sigmoid of the output layer (Simonyan et al., [1]_): the
probability of a class also rises when other classes become less likely.

References
----------
.. [1] Simonyan, Vedaldi, Zisserman (2014): Deep inside convolutional networks: visualising image classification models
       and saliency maps. ICLR workshop. https://arxiv.org/abs/1312.6034
.. [2] Springenberg, Dosovitskiy, Brox, Riedmiller (2015): Striving for simplicity: the all convolutional net. ICLR
       workshop. https://arxiv.org/abs/1412.6806
.. [3] Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017): Grad-CAM: visual explanations from deep networks via
       gradient-based localization. ICCV. https://arxiv.org/abs/1610.02391
.. [4] Zhou, Khosla, Lapedriza, Oliva, Torralba (2016): Learning deep features for discriminative localization. CVPR.
       https://arxiv.org/abs/1512.04150
.. [5] Zeiler, Fergus (2014): Visualizing and understanding convolutional networks. ECCV.
       https://arxiv.org/abs/1311.2901
"""

from .gradients import guided_backprop, saliency
from .localisation import cam, grad_cam, upsampled
from .occlusion import occlusion

__all__ = ["cam", "grad_cam", "guided_backprop", "occlusion", "saliency", "upsampled"]
