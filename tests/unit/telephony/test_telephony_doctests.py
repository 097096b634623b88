"""Every worked number in a docstring of the domain is right."""

import doctest
import importlib
import pkgutil

import pytest

import telephony

MODULES = [f"telephony.{module.name}" for module in pkgutil.iter_modules(telephony.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_doctests_of_the_domain_hold(name):
    assert 0 == doctest.testmod(importlib.import_module(name)).failed
