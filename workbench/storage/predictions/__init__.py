"""The prediction log: a passport for each answer, and what turned out to be true.

day=2026-11-24/pipeline=fraud/
  <segment>.parquet       closed: columns, for DuckDB and whoever reads Parquet
  _<segment>.ids          its ids in order, so that one is found without reading columns
  _<segment>.jsonl        hot: lines that one process appends, until it is closed
  _outcomes.jsonl         true outcomes of predictions of that day
.key                      of the hashes that stand for private values

A name that begins with `_` is passed over by readers of Parquet data sets.
"""
