#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed.py OUT.c RECORD.json...: device records as a C table, named after their files."""
import json
import pathlib
import sys

out, *files = sys.argv[1:]
lines = ['/* Made by embed.py. */', '#include "devices/records.h"', '', 'const rni_device_record rni_device_records[] = {']
for file in map(pathlib.Path, files):
    record = json.loads(file.read_text(encoding="utf-8"))
    text = json.dumps(json.dumps(record, separators=(",", ":")))
    lines.append(f'    {{"{file.stem}", {record["deviceVer"] // 10}, {record["multiProcessorCount"]}, {text}}},')
lines += ['};', f'const int rni_device_record_count = {len(files)};', '']
pathlib.Path(out).write_text("\n".join(lines), encoding="utf-8")
