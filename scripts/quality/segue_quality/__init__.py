"""Recommendation quality on public data, beside published figures. Every job takes the data's folder as an argument."""
