"""Pure functions from tables to Plotly figure dictionaries."""
