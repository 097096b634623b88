"""The domain of voice telephony: model, E-model, KPIs, teletraffic. Standard library only, no I/O, no clock."""
