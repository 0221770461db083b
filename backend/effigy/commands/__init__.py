# SPDX-License-Identifier: Apache-2.0
"""The longer commands of the command line, without its parsing of arguments."""
