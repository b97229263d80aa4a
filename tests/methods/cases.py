"""The methods of the battery, by name."""

from methods.capi_battery_test import CASE as capi

CASES = {"capi": capi}
