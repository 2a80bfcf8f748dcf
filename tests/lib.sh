# Helpers of the check_*.sh scripts: sourced, not run. $1 of the script is the netc to test.
netc=$(realpath "$1")
root=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0
failed=0

# expect CODE TEXT COMMAND...: the command ends with CODE and prints TEXT (a grep pattern) somewhere.
expect() {
    want=$1 pattern=$2
    shift 2
    "$@" >"$work/out.txt" 2>&1 </dev/null
    code=$?
    if [ $code = "$want" ] && { [ -z "$pattern" ] || grep -q -- "$pattern" "$work/out.txt"; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $*"
        echo "  exit code $code, expected $want; expected text: $pattern; printed:"
        sed 's/^/    /' "$work/out.txt" | head -20
    fi
}

# holds TEXT COMMAND...: the command succeeds.
holds() {
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ $failed = 0 ]
}

# be32 NUMBER: big-endian bytes on stdout.
be32() { printf "\\$(printf %03o $(($1 >> 24 & 255)))\\$(printf %03o $(($1 >> 16 & 255)))\\$(printf %03o $(($1 >> 8 & 255)))\\$(printf %03o $(($1 & 255)))"; }

# idx_images FILE N ROWS COLS SEED, idx_labels FILE N CLASSES: small made data in IDX form. The class of
# image i is i mod CLASSES; its row of that number is bright, so that a network can learn it.
idx_images() {
    { be32 2051; be32 "$2"; be32 "$3"; be32 "$4"
      awk -v n="$2" -v r="$3" -v c="$4" -v s="$5" 'BEGIN { srand(s)
        for (i = 0; i < n; i++) for (y = 0; y < r; y++) for (x = 0; x < c; x++)
            printf "%d ", (y == i % r) ? 200 + int(rand() * 50) : int(rand() * 60) }' |
      awk '{ for (i = 1; i <= NF; i++) printf "\\%03o", $i }' | xargs -0 printf
    } > "$1"
}
idx_labels() {
    { be32 2049; be32 "$2"
      awk -v n="$2" -v k="$3" 'BEGIN { for (i = 0; i < n; i++) printf "\\%03o", i % k }' | xargs -0 printf
    } > "$1"
}

# small_net FILE: a convolutional net over 8x8 images of 8 classes, with its data.
small_net() {
    cat > "$1" <<'NET'
net 1
dim Row = 8
hyper eta = 0.1
data D(img: [1,8,8], label: Row) {
  train = idx("train-images", "train-labels")
  valid = idx("valid-images", "valid-labels")
  test  = idx("valid-images", "valid-labels")
}
model Net {
  fn logits(img: [1,8,8]) -> [Row] =
    img |> Conv(4, 3) as c1 |> maxpool(2) |> relu |> flatten |> Dense(16) as fc |> relu |> dropout(0.2) |> Dense(Row) as out
  objective(img: [1,8,8], label: Row) {
    z = logits(img)
    loss xent(z, label)
    metric accuracy = argmax(z) == label
  }
  entry classify(img: [1,8,8]) -> Row = argmax(logits(img))
}
train Net on D { seed = 1; batch = 10; epochs = 4; optimizer = momentum(eta); keep = best(accuracy) }
NET
}
small_data() {
    idx_images train-images 203 8 8 1; idx_labels train-labels 203 8
    idx_images valid-images 64 8 8 2;  idx_labels valid-labels 64 8
}
