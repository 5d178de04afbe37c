#!/bin/bash
# Everything to be known of a GPU, in one call of at most ten minutes:
#
#     benchmarks/gpu.sh PHOTOS [ANNOTATIONS] [OUT]
#
# PHOTOS is a folder of photos with people, ANNOTATIONS their COCO annotations for AP. Each step writes OUT/STEP.log;
# one that fails or runs late does not stop the others, and is named at the end. On a GPU it has not run so far;
# DEVICE=cpu COUNT=20 tries the script itself.
set -u
photos=$1 annotations=${2:-} out=${3:-gpu-bench}
device=${DEVICE:-cuda} count=${COUNT:-10000}
here=$(cd "$(dirname "$0")" && pwd)
end=$((SECONDS + 590)) failed=()
mkdir -p "$out"

step() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    ((limit > end - SECONDS)) && limit=$((end - SECONDS))
    if ((limit > 0)) && timeout "$limit" "$@" >"$out/$name.log" 2>&1; then
        echo "== $name ($((SECONDS - start)) s)"
    else
        echo "== $name FAILED ($((SECONDS - start)) s)"
        failed+=("$name")
    fi
    tail -n 25 "$out/$name.log"
}

[ "$device" = cpu ] || step card 10 nvidia-smi
# The default downloads no weights, so that it runs where there is no network.
model=mrfea2-cspnext-s
mrpose weights path rtmpose-s >/dev/null 2>&1 && model=rtmpose-s
step tests 120 python -m pytest -q -m cuda "$here/../tests/pipeline"
step networks 90 python "$here/gpu.py" networks --device "$device"
step stage 60 python "$here/gpu.py" stage --device "$device" --model "$model"
step bench 90 mrpose bench --device "$device" --model "$model" --images "$photos" --rounds 3
step whole 150 python "$here/gpu.py" whole "$photos" --device "$device" --model "$model" --count "$count"
step ultralytics 60 python "$here/gpu.py" ultralytics "$photos" --device "$device" --count "$((count / 5))"
if [ -n "$annotations" ]; then
    for dtype in fp32 fp16; do
        [ "$device" = cpu ] && [ $dtype = fp16 ] && continue
        step "ap-$dtype" 60 mrpose eval --ann "$annotations" --images "$photos" --model "$model" \
            --device "$device" --dtype "$dtype" -o "$out/ap-$dtype" --overwrite
    done
fi
((${#failed[@]})) && echo "failed: ${failed[*]}" && exit 1
echo "done in $SECONDS s"
