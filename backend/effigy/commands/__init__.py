# SPDX-License-Identifier: Apache-2.0
"""What the command line's longer verbs do."""
