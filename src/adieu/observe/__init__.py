"""The consumers of events: timelines, HAR files, traces and metrics. `import adieu` loads none of them."""
