"""From an object that is not as it should be to the cause, over objects, Jobs, pods and what refuses them."""
