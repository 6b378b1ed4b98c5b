"""The networks of the parity tests in PyTorch: torchvision's own where it has them, the others written here after
their publications. Parameters have ftrun's names. Needs torch and torchvision.
"""
import torch
import torchvision
from torch import nn

from parity_rule import dropout_mask, draw_parameter


class AlexNetBvlc(nn.Module):
    """Caffe's reference AlexNet: two groups in conv2, conv4, conv5; LRN (alpha over the window) behind two ReLUs."""

    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 96, 11, 4), nn.Conv2d(96, 256, 5, 1, 2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, 1, 1)
        self.conv4, self.conv5 = nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.Conv2d(384, 256, 3, 1, 1, groups=2)
        self.fc6, self.fc7, self.fc8 = nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, classes)
        self.drop6, self.drop7 = nn.Dropout(0.0), nn.Dropout(0.0)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(3, 2)
        self.lrn = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    def forward(self, x):
        x = self.pool(self.lrn(self.relu(self.conv1(x))))
        x = self.pool(self.lrn(self.relu(self.conv2(x))))
        x = self.relu(self.conv4(self.relu(self.conv3(x))))
        x = self.pool(self.relu(self.conv5(x))).flatten(1)
        x = self.drop6(self.relu(self.fc6(x)))
        x = self.drop7(self.relu(self.fc7(x)))
        return self.fc8(x)


class BottleneckV1(nn.Module):
    """He et al. 2015: the stride sits in the first 1x1 convolution."""

    def __init__(self, inputs, width, stride, project, norm):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, stride, bias=False), norm(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), norm(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), norm(4 * width)
        self.downsample = nn.Sequential(
            nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), norm(4 * width)) if project else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50V1(nn.Module):
    """As Keras has it: epsilon 1.001e-5, running statistics that take 0.01 of a batch."""

    def __init__(self, classes):
        super().__init__()

        def norm(channels):
            return nn.BatchNorm2d(channels, eps=1.001e-5, momentum=0.01)

        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), norm(64)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, blocks in enumerate((3, 4, 6, 3)):
            width, made = 64 << stage, []
            for block in range(blocks):
                made.append(BottleneckV1(inputs, width, 2 if stage and not block else 1, not block, norm))
                inputs = 4 * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


# Network -> how it is built, and where ftrun's graph has its dropouts (numbers of nodes, counted from 0: part of the
# address of their random numbers).
NETWORKS = {
    "alexnet": (AlexNetBvlc, {"drop6": 18, "drop7": 21}),
    "alexnet-tv": (lambda n: torchvision.models.alexnet(num_classes=n, dropout=0.0),
                   {"classifier.0": 15, "classifier.3": 18}),
    "resnet50": (lambda n: torchvision.models.resnet50(num_classes=n), {}),
    "resnet50-v1": (ResNet50V1, {}),
    "vgg16": (lambda n: torchvision.models.vgg16(num_classes=n, dropout=0.0),
              {"classifier.2": 35, "classifier.5": 38}),
    # Keras's form: the same layers without dropouts.
    "vgg16-keras": (lambda n: torchvision.models.vgg16(num_classes=n, dropout=0.0), {}),
}


class MaskedDropout(nn.Module):
    """Dropout with the masks that ftrun draws. `step` counts up with every pass in training mode."""

    def __init__(self, p, seed, node):
        super().__init__()
        self.p, self.seed, self.node, self.step = p, seed, node, 0

    def forward(self, x):
        if not self.training:
            return x
        mask = dropout_mask(tuple(x.shape), self.p, self.seed, self.step, self.node)
        self.step += 1
        return x * torch.from_numpy(mask).to(x.dtype)


def inject_dropout(model, name, p, seed):
    for path, node in NETWORKS[name][1].items():
        parent, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(parent), leaf, MaskedDropout(p, seed, node))


def role_of(model, name):
    module = model.get_submodule(name.rpartition(".")[0])
    leaf = name.rpartition(".")[2]
    if isinstance(module, nn.BatchNorm2d):
        return {"weight": "gamma", "bias": "beta"}.get(leaf, leaf)
    return leaf


def head_of(name):
    return {"alexnet": "fc8", "resnet50": "fc", "resnet50-v1": "fc"}.get(name, "classifier.6")


def build(name, classes, gain, head_gain, drawn=None):
    """The network with drawn weights, in f32. `drawn`: a dictionary that keeps them for the next time."""
    with torch.device("meta"):
        model = NETWORKS[name][0](classes)
    model = model.to_empty(device="cpu")
    drawn = {} if drawn is None else drawn
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key.endswith("num_batches_tracked"):
                value.zero_()
                continue
            if key not in drawn:
                own_gain = head_gain if key.startswith(head_of(name) + ".") else gain
                drawn[key] = draw_parameter(key, tuple(value.shape), role_of(model, key), own_gain)
            value.copy_(torch.from_numpy(drawn[key]))
    return model
