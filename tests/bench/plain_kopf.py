"""The peer of the operator's benchmark: kopf's plain handlers, doing nothing."""

from typing import Any

import kopf

for plural in ("datasources", "trainingjobs", "modeldeployments", "monitors"):

    @kopf.on.create("treadle.dev", "v1alpha1", plural)
    @kopf.on.resume("treadle.dev", "v1alpha1", plural)
    @kopf.on.update("treadle.dev", "v1alpha1", plural)
    def reconcile(**_: Any) -> None:
        """Do nothing, as the smallest operator."""
