"""Devices: where models run, and who may run alone there. One folder is one kind of device."""
