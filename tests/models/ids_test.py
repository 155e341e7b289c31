#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of Gemma 3 270M, from the store, gives the reference's ids."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ids import check_ids  # noqa: E402
from tap import finish  # noqa: E402

check_ids("gemma3-270m", "gemma3.jsonl", 59, 4)
finish()
