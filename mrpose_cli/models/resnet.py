"""ResNet backbones in the flat key layout that SimpleBaseline's descendants share.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. torchvision builds the layers
(its v1.5 layout, stride on the 3x3 convolution); this module only takes away the classifier and
hands out the four resolutions. Keys are ``conv1, bn1, layer1 .. layer4``, without a prefix, as in the
authors' checkpoints of SimpleBaseline, MRHeatNet and MRFeaNet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from torch import Tensor, nn

DEPTHS = (18, 34, 50, 101, 152)


class ResNetBackbone(nn.Module):
    """Base class of networks on a ResNet; subclasses add a head and ``forward``.

    Attributes:
        channels: Channels of layer1 .. layer4, (64, 128, 256, 512) x 4 from depth 50 on.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        import torchvision  # takes a second, which networks without it need not wait for

        resnet = getattr(torchvision.models, f"resnet{depth}")(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4
        expansion = 4 if depth >= 50 else 1
        self.channels = tuple(width * expansion for width in (64, 128, 256, 512))

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps of the four layers, at strides 4, 8, 16 and 32.

        Args:
            x: (N, 3, H, W).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, H/4, W/4)
        c1: Tensor = self.layer1(x)  # (N, channels[0], H/4, W/4)
        c2: Tensor = self.layer2(c1)  # (N, channels[1], H/8, W/8)
        c3: Tensor = self.layer3(c2)  # (N, channels[2], H/16, W/16)
        c4: Tensor = self.layer4(c3)  # (N, channels[3], H/32, W/32)
        return c1, c2, c3, c4


def deconv(inputs: int, outputs: int) -> nn.Sequential:
    """Make an upsampling by two: transposed 4x4 convolution without bias, batch norm, ReLU.

    Maps (N, inputs, h, w) to (N, outputs, 2h, 2w).
    """
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def init_body(*modules: nn.Module) -> None:
    """Initialize convolutions before norms and ReLUs: He's normal distribution (fan out), biases zero."""
    _init_convolutions(modules, partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu"))


def init_head(*modules: nn.Module) -> None:
    """Initialize a head's convolutions as SimpleBaseline's authors do: N(0, 0.001), biases zero."""
    _init_convolutions(modules, partial(nn.init.normal_, std=0.001))


def init_maps(*heads: nn.Module) -> None:
    """Initialize the last norms of heads with small weights: heatmaps vary by about 0.1, not by 1."""
    for head in heads:
        norms = [module for module in head.modules() if isinstance(module, nn.BatchNorm2d)]
        nn.init.constant_(norms[-1].weight, 0.1)


def _init_convolutions(modules: Iterable[nn.Module], init: Callable[[Tensor], Tensor]) -> None:
    for module in (m for root in modules for m in root.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            init(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
