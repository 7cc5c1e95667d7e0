"""Drawn people: 2D vector puppets that play the same performances as the 3D characters."""

from flowact.studio.puppet.identity import Puppet
from flowact.studio.puppet.renderer import PuppetRenderer

__all__ = ["Puppet", "PuppetRenderer"]
