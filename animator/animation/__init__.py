"""A job from its plan to its video: guidance, rollout, engine, resuming, measures."""
