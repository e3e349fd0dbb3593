"""Reads an exposition with Prometheus's own parser, makes sure of its histograms, and prints its samples as JSON."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

samples = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    buckets = {}
    for sample in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "le")
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        else:
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in samples, key
            samples[key] = sample.value
    assert bool(buckets) == (family.type == "histogram"), family
    for labels, counts in buckets.items():
        assert counts == sorted(counts) and [n for _, n in counts] == sorted(n for _, n in counts), counts
        suffix = f"{{{labels}}}" if labels else ""
        assert counts[-1] == (float("inf"), samples[f"{family.name}_count{suffix}"]), counts
print(json.dumps(samples))
