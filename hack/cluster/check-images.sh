#!/usr/bin/env bash
# Start each image once: it imports what its programs need, and holds no other image's libraries.
#
# usage: check-images.sh [TAG]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/buildah.sh"
tag=${1:-$("$here/images.sh" --tag)}

# image | modules that it imports | distributions that it does not hold
table='
operator | treadle.control.main,treadle.control.kinds | scikit-learn,pyarrow,duckdb,boto3,onnxruntime,cryptography
worker | treadle.cli.step,treadle.cli.main,treadle.data.step,treadle.training.step,treadle.monitoring.step | kopf,kubernetes,uvicorn,orjson,rich,jinja2,jsonschema
server | treadle.serving.main,treadle.serving.app,treadle.serving.log,skops.io | kopf,kubernetes,duckdb,skl2onnx
'
check='
import importlib, importlib.metadata as metadata, sys
imported, absent = (argument.split(",") for argument in sys.argv[1:])
for name in imported:
    importlib.import_module(name)
held = {each.metadata["Name"].lower() for each in metadata.distributions()}
if foreign := held & set(absent):
    sys.exit(f"holds {sorted(foreign)}, which is another image'"'"'s")
print(len(held), "distributions")
'
while IFS='|' read -r image imported absent; do
  [ "$image" ] || continue
  image=${image// } container=$(buildah from --pull-never "localhost/treadle-${image// }:$tag")
  said=$(buildah run "$container" -- /opt/treadle/bin/python -c "$check" "${imported// }" "${absent// }" 2>&1 < /dev/null) \
    || { buildah rm "$container" > /dev/null; fail "image $image: $(grep -v '^Error:\|^subprocess' <<< "$said" | tail -n 1)"; }
  buildah rm "$container" > /dev/null
  say "image $image: imports ${imported// }; $said"
done <<< "$table"
