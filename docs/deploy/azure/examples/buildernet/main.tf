# SPDX-License-Identifier: GPL-2.0-or-later
# A BuilderNet node (docs/buildernet.md) with its ports. `terraform apply -var release=build/NAME/release/BASE -var version_name=1.2.3
# -var storage_account_name=... -var 'operators=["192.0.2.0/24"]'`

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.14, < 5.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "release" {
  description = "Folder of `make release`."
  type        = string
}

variable "version_name" {
  description = "Version in the gallery: the tag's numbers."
  type        = string
}

variable "storage_account_name" {
  type = string
}

variable "operators" {
  description = "CIDR ranges from which the System API and SSH can be reached."
  type        = list(string)
  default     = []
}

variable "location" {
  type    = string
  default = "westeurope"
}

resource "azurerm_resource_group" "builder" {
  name     = "buildernet"
  location = var.location
}

resource "azurerm_virtual_network" "builder" {
  name                = "buildernet"
  resource_group_name = azurerm_resource_group.builder.name
  location            = azurerm_resource_group.builder.location
  address_space       = ["10.0.0.0/24"]
}

resource "azurerm_subnet" "builder" {
  name                 = "machines"
  resource_group_name  = azurerm_resource_group.builder.name
  virtual_network_name = azurerm_virtual_network.builder.name
  address_prefixes     = ["10.0.0.0/25"]
}

module "builder" {
  source = "../.."

  resource_group_name  = azurerm_resource_group.builder.name
  location             = azurerm_resource_group.builder.location
  storage_account_name = var.storage_account_name
  image_name           = "buildernet"
  releases             = { (var.version_name) = var.release }

  identifier = {
    publisher = "buildernet"
    offer     = "gantry"
    sku       = "builder"
  }

  machines = {
    builder-1 = {
      size      = "Standard_EC16es_v5"
      version   = var.version_name
      subnet_id = azurerm_subnet.builder.id
      api_from  = var.operators
      ssh_from  = var.operators

      data_disk = {
        size_gib = 4094
      }

      open = {
        order-flow-https = { port = 443, protocol = "Tcp" }
        order-flow       = { port = 5544, protocol = "Tcp" }
        cvm-proxy        = { port = 7936, protocol = "Tcp" }
        lighthouse-tcp   = { port = 9000, protocol = "Tcp" }
        lighthouse-udp   = { port = 9000, protocol = "Udp" }
        reth-tcp         = { port = 30303, protocol = "Tcp" }
        reth-udp         = { port = 30303, protocol = "Udp" }
      }
    }
  }
}

output "addresses" {
  value = module.builder.addresses
}

output "api_urls" {
  value = module.builder.api_urls
}

output "expected_measurements" {
  value = module.builder.expected_measurements
}
