#!/bin/sh
# Puts one file of PostgreSQL's write-ahead log into the archive: archive-wal PATH NAME, as archive_command.
# Succeeds once the file is on disk, whole and under its name. What is there is never written over: the same
# content is a success, for PostgreSQL asks again after a crash; another is told, and stays.
set -eu
from=$1
folder='{folder}/wal'
to="$folder/$2"
part="$folder/.part"
if [ -e "$to" ]; then
    if cmp -s -- "$from" "$to"; then
        sync -- "$to" "$folder"
        exit 0
    fi
    echo "archive-wal: $to is there and holds something else" >&2
    exit 1
fi
cp -- "$from" "$part"
sync -- "$part"
# Unlike mv, ln fails where the name is taken; there are file systems without links.
if ln -- "$part" "$to" 2>/dev/null; then
    rm -- "$part"
elif [ -e "$to" ]; then
    echo "archive-wal: $to is there since a moment ago: do two databases archive into one folder?" >&2
    exit 1
else
    mv -- "$part" "$to"
fi
sync -- "$folder"
