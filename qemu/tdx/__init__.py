# SPDX-License-Identifier: GPL-2.0-or-later
"""TDX without TDX: reports, quotes and vTPM objects of the right layout, vouched for by test keys."""
