# SPDX-License-Identifier: GPL-2.0-or-later
# What can be said before Azure is asked: each validation here is about one variable, preconditions.tf has what two say together.

variable "resource_group_name" {
  description = "The resource group, which exists, of everything that this module makes."
  type        = string
}

variable "location" {
  description = "Azure's region, one that has TDX sizes."
  type        = string
}

variable "storage_account_name" {
  description = "A name that no storage account has, in all of Azure: the VHDs are uploaded there, and the gallery copies them."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.storage_account_name))
    error_message = "Storage accounts have names of 3 to 24 small letters and digits."
  }
}

variable "gallery_name" {
  description = "The gallery's name."
  type        = string
  default     = "gantry"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_.]{0,78}[A-Za-z0-9]$", var.gallery_name))
    error_message = "Galleries have names of letters, digits, dots and underscores, not of hyphens."
  }
}

variable "image_name" {
  description = "The name of the image in the gallery."
  type        = string
}

variable "identifier" {
  description = "Publisher, offer and SKU of the image: unique in the gallery, for ever."
  type = object({
    publisher = string
    offer     = string
    sku       = string
  })
}

variable "releases" {
  description = "Version in the gallery => folder of `make release` (docs/images.md). Keep those of which machines are."
  type        = map(string)

  validation {
    condition     = alltrue([for version in keys(var.releases) : can(regex("^[0-9]{1,9}\\.[0-9]{1,9}\\.[0-9]{1,9}$", version))])
    error_message = "Versions in a gallery are three numbers: 1.2.3."
  }

  validation {
    condition     = alltrue([for folder in values(var.releases) : length(fileset(folder, "*.vhd")) == 1])
    error_message = "A release is a folder with exactly one .vhd, as `make release` writes it."
  }

  validation {
    condition = alltrue([for folder in values(var.releases) :
    fileexists("${folder}/deploy.json") && fileexists("${folder}/measurements.json")])
    error_message = "A release has deploy.json and measurements.json, as `make release` writes them."
  }
}

variable "ssh_port" {
  description = "The port of the image's service ssh, if it has one."
  type        = number
  default     = 40192
}

variable "admin_ssh_public_key" {
  description = "Azure wants the key of somebody who may log in, and the image has no agent that would read it. The private half of the default was not kept."
  type        = string
  default     = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDu9FvIm39ZyCSY2r1BTKB9NQAlU1b/G0etl/zukk5tF2r+mXwibbRtS8lIa7AXGSRFmDKdW54MfokJgWQQjtc8NONEwSauRCD/HCqZERtoCm1kaP1HGpgm+g9eAwf61+UXd94OLA3GjAE6skQ4YoDaUAsbrKhjCTgAhJpSwBEVmUnr1mK+u5YsNOhoJ1zN7ff2r0R3pURNJPiEUiP+cXvqXb/5B8FQGwQ7z7K8LVqTqMticJpTOAFYyhIDVDXVvW2+6vP273G4NSVu9+XyCKCseEiVyoKwj516KOtubh89J9LUNWSaVv0jb+IVwiL2iWdPeiLyLvNiLjNkhHl+6wBYjhq1rZjrAopqgjEMqpSQMOG0CUo1I/YtFfk9EUDi3hqz1D1KIFq7V+WRluK+YUgZE5Q9YtEsd/3+AT69gLl5k+F5utwmK0URiN4B1bBJe10tG5O8TyoK5t9K9RqVq+Hbk47vpvfhbIR/qj1+pS9fgkX05IjJfTUQg9/Zv0rQy7U= nobody"
}

variable "machines" {
  description = "Name => machine."
  type = map(object({
    size      = string
    version   = string # of var.releases
    subnet_id = string

    disk_controller_type = optional(string)
    zone                 = optional(string)

    # Who reaches what: CIDR ranges or service tags of Azure. Nobody, if left out.
    api_from = optional(list(string), [])
    ssh_from = optional(list(string), [])
    open = optional(map(object({
      port     = number
      protocol = string
      from     = optional(list(string), ["Internet"])
    })), {})

    data_disk = object({
      size_gib         = number
      type             = optional(string, "Premium_LRS")
      caching          = optional(string) # ReadOnly below 4,095 GiB, None from there
      performance_plus = optional(bool)   # on where the disk can have it: from 513 GiB
      tier             = optional(string)
    })
  }))

  validation {
    condition     = alltrue([for name in keys(var.machines) : can(regex("^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$", name))])
    error_message = "Machines have names of letters, digits and hyphens, at most 63."
  }

  validation {
    condition     = alltrue([for machine in values(var.machines) : can(regex("^Standard_[DE]C[0-9]+ed?s_v[56]$", machine.size))])
    error_message = "Not a size with TDX: these are Standard_DC2es_v5 and the like: DC or EC, es or eds, v5 or v6."
  }

  validation {
    condition     = alltrue([for machine in values(var.machines) : contains(["SCSI", "NVMe"], coalesce(machine.disk_controller_type, "SCSI"))])
    error_message = "disk_controller_type is SCSI or NVMe, or left to Azure."
  }

  validation {
    condition     = alltrue([for machine in values(var.machines) : machine.data_disk.caching != "ReadWrite"])
    error_message = "Host caching ReadWrite acknowledges writes that are not done: a journal, and the disk's keyslots, could be lost."
  }

  validation {
    condition     = alltrue([for machine in values(var.machines) : contains(["ReadOnly", "None"], coalesce(machine.data_disk.caching, "None"))])
    error_message = "Host caching of the data disk is ReadOnly or None."
  }

  validation {
    condition = alltrue([for machine in values(var.machines) :
    coalesce(machine.data_disk.caching, "None") == "None" || machine.data_disk.size_gib <= 4095])
    error_message = "Azure has no host caching for disks of more than 4,095 GiB: None."
  }

  validation {
    condition     = alltrue([for machine in values(var.machines) : contains(["Premium_LRS", "PremiumV2_LRS", "StandardSSD_LRS"], machine.data_disk.type)])
    error_message = "The data disk is Premium_LRS, PremiumV2_LRS or StandardSSD_LRS: confidential machines take no Ultra disk."
  }

  validation {
    condition = alltrue([for machine in values(var.machines) :
    machine.data_disk.type != "PremiumV2_LRS" || coalesce(machine.data_disk.caching, "None") == "None" && machine.zone != null])
    error_message = "Premium SSD v2 has no host caching, and its machine is in a zone."
  }

  validation {
    condition = alltrue([for machine in values(var.machines) :
    !coalesce(machine.data_disk.performance_plus, false) || machine.data_disk.size_gib >= 513 && machine.data_disk.type != "PremiumV2_LRS"])
    error_message = "Performance plus is for disks of 513 GiB and more, but not for Premium SSD v2."
  }

  validation {
    condition = alltrue([for machine in values(var.machines) :
    machine.data_disk.tier == null || machine.data_disk.type == "Premium_LRS"])
    error_message = "A tier is for Premium_LRS."
  }

  validation {
    condition = alltrue(flatten([for machine in values(var.machines) : [for source in concat(machine.api_from, machine.ssh_from) :
    !contains(["*", "internet", "any"], lower(source)) && !can(regex("/0$", source))]]))
    error_message = "The System API and SSH are not for the whole Internet: give the ranges of those who operate the machine."
  }

  validation {
    condition = alltrue(flatten([for machine in values(var.machines) : [for rule in values(machine.open) :
    contains(["Tcp", "Udp"], rule.protocol) && rule.port >= 1 && rule.port <= 65535]]))
    error_message = "An open port has a number from 1 to 65535 and the protocol Tcp or Udp."
  }

  validation {
    condition = alltrue(flatten([for machine in values(var.machines) : [
      for from in concat([machine.api_from, machine.ssh_from], [for rule in values(machine.open) : rule.from]) :
      length(from) < 2 || alltrue([for source in from : can(regex("^[0-9a-fA-F.:]+(/[0-9]+)?$", source))])
    ]]))
    error_message = "Azure takes several address ranges for a port, or one service tag, but not both."
  }
}
