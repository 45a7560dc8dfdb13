"""All that several processes need to train one run."""
