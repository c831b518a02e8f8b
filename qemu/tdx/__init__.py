# SPDX-License-Identifier: GPL-2.0-or-later
"""TDX without TDX: reports, quotes and vTPM objects with the right layout, signed by test keys."""
