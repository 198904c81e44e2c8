"""What a few minutes on a GPU are to answer: `scripts/gpu_check.sh`, one module for each part."""
