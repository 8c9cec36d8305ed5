# Starts spark-submit with properties that no argument shows.
#
# Arguments of a process are seen by everybody on its machine; this folder belongs to the task alone.
# Spark reads one file of properties, so the installation's own come first in ours, and ours count.
set -eu
umask 077
base=$1
binary=$2
shift 2
if [ -z "$base" ]; then
    found=$(command -v "$binary" || true)
    home=${SPARK_HOME:-${found:+$(dirname "$(dirname "$(readlink -f "$found")")")}}
    defaults=${SPARK_CONF_DIR:-$home/conf}/spark-defaults.conf
    if [ -r "$defaults" ]; then base=$defaults; fi
fi
{
    if [ -n "$base" ]; then cat -- "$base"; echo; fi
    cat .gridflow/spark.conf
} > .gridflow/spark.properties
exec "$binary" --properties-file .gridflow/spark.properties "$@"
