# SPDX-License-Identifier: GPL-2.0-or-later

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.14, < 5.0"
    }
  }
}
