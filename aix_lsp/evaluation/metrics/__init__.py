"""How near an answer is to what was wanted: the measures of the published benchmarks, one per file."""
