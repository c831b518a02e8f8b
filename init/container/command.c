/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command lines of podman. No file of the machine's takes part in them: storage, registries, policy and engine are
 * named or switched off here, so that boot.json alone determines what runs. No secret is in them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include <gantry/role.h>

#include "command.h"
#include "init/lib/member.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void add(struct container_words *words, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct container_words *words, const char *fmt, ...)
{
	char *word = NULL;
	va_list args;

	va_start(args, fmt);
	if (words->n == CONTAINER_WORDS_MAX || vasprintf(&word, fmt, args) < 0)
		words->failed = true;
	else
		words->words[words->n++] = word;
	va_end(args);
}

void container_free(struct container_words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->words[i]);
	memset(words, 0, sizeof(*words));
}

static const char *text(struct json_object *object, const char *name)
{
	return json_object_get_string(key_member(object, name));
}

/* PREFIX and each string of a list, as one word each. */
static void add_each(struct container_words *words, const char *prefix, struct json_object *list)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		add(words, "%s%s", prefix, json_object_get_string(json_object_array_get_idx(list, i)));
}

/*
 * cgroups=disabled (in run) and cgroupfs: podman, conmon and the container stay in the cgroup that PID 1 started them
 * in, which is what the service's limits hold for and what cgroup.kill ends.
 */
static void add_podman(struct container_words *words, struct json_object *service)
{
	struct json_object *containers = key_member(service, "containers");
	const char *storage = json_object_get_string(key_member(containers, "storage"));

	add(words, "%s", json_object_get_string(key_member(containers, "podman")));
	add(words, "--root=%s", storage);
	add(words, "--volumepath=%s/volumes", storage);
	add(words, "--runroot=%s/run", CONTAINER_RUNTIME);
	add(words, "--tmpdir=%s/libpod", CONTAINER_RUNTIME);
	add(words, "--network-config-dir=%s/networks", CONTAINER_RUNTIME);
	add(words, "--storage-driver=overlay");
	add(words, "--cgroup-manager=cgroupfs");
	add(words, "--events-backend=none");
}

/* How podman speaks with the registry. */
static void add_registry(struct container_words *words, struct json_object *container, const char *authfile)
{
	if (authfile)
		add(words, "--authfile=%s", authfile);
	if (json_object_get_boolean(key_member(container, "plain_http")))
		add(words, "--tls-verify=false");
	else
		add(words, "--tls-verify=true");
	if (key_member(container, "ca"))
		add(words, "--cert-dir=%s/login/ca", CONTAINER_RUNTIME);
}

/* Whether the configuration has something else there. */
static bool mounts(struct json_object *volumes, const char *target)
{
	size_t n = strlen(target);

	for (size_t i = 0; volumes && i < json_object_array_length(volumes); i++) {
		const char *at = strchr(json_object_get_string(json_object_array_get_idx(volumes, i)), ':');

		if (at && !strncmp(at + 1, target, n) && (!at[1 + n] || at[1 + n] == ':'))
			return true;
	}
	return false;
}

static bool has_capability(struct json_object *container, const char *wanted)
{
	struct json_object *list = key_member(container, "capabilities");

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), wanted))
			return true;
	return false;
}

/* One without KILL could not signal a program that changes its user. */
bool container_has_init(struct json_object *container)
{
	return json_object_get_boolean(key_member(container, "init")) &&
	       (!has_capability(container, "SETUID") || has_capability(container, "KILL"));
}

static void add_run(struct container_words *words, struct json_object *service, struct json_object *container,
		    const char *init)
{
	struct json_object *limits = key_member(service, "limits"), *environment = key_member(service, "environment");
	bool notify = key_member(key_member(service, "ready"), "notify");

	add(words, "run");
	add(words, "--name=%s", text(service, "name"));
	add(words, "--hostname=%s", text(service, "name"));
	add(words, "--rm");
	add(words, "--pull=never");
	add(words, "--cgroups=disabled");
	add(words, "--log-driver=passthrough");
	add(words, "--no-healthcheck");
	add(words, "--http-proxy=false");
	add(words, "--sdnotify=%s", notify ? "container" : "ignore");
	add(words, "--security-opt=no-new-privileges");
	add(words, "--cap-drop=all");
	add_each(words, "--cap-add=", key_member(container, "capabilities"));
	add(words, "--network=%s", json_object_get_string(key_member(container, "network")));
	add_each(words, "--publish=", key_member(container, "ports"));
	if (key_member(container, "user"))
		add(words, "--user=%s", text(container, "user"));
	if (init) {
		add(words, "--init");
		add(words, "--init-path=%s", init);
	}
	if (json_object_get_boolean(key_member(container, "read_only")))
		add(words, "--read-only");
	add_each(words, "--tmpfs=", key_member(container, "tmpfs"));
	add_each(words, "--volume=", key_member(container, "volumes"));
	if (!strcmp(text(container, "network"), "host") &&
	    !mounts(key_member(container, "volumes"), "/etc/resolv.conf"))
		add(words, "--volume=%s/%s:/etc/resolv.conf:ro", RESOLV_COPIES, text(service, "name"));
	if (limits) {
		json_object_object_foreach(limits, name, value) {
			const char *n = json_object_is_type(value, json_type_string) ? "-1"
										    : json_object_get_string(value);

			add(words, "--ulimit=%s=%s:%s", name, n, n);
		}
	}
	if (key_member(service, "oom_score_adj"))
		add(words, "--oom-score-adj=%s", text(service, "oom_score_adj"));
	if (environment) {
		json_object_object_foreach(environment, variable, value) {
			add(words, "--env=%s=%s", variable, json_object_get_string(value));
		}
	}
	add(words, "%s", text(container, "image"));
	add_each(words, "", key_member(container, "command"));
}

void container_command(enum container_ask ask, struct json_object *service, const char *argument,
		       struct container_words *ret)
{
	struct json_object *container = key_member(service, "container");
	const char *image = text(container, "image");

	memset(ret, 0, sizeof(*ret));
	add_podman(ret, service);
	switch (ask) {
	case CONTAINER_INSPECT:
		add(ret, "image");
		add(ret, "inspect");
		add(ret, "--format={{range .RepoDigests}}{{println .}}{{end}}");
		add(ret, "%s", image);
		break;
	case CONTAINER_LOGIN:
		add(ret, "login");
		add_registry(ret, container, argument);
		add(ret, "--username=%s", text(key_member(container, "login"), "username"));
		add(ret, "--password-stdin");
		add(ret, "%.*s", (int)container_registry(image), image);
		break;
	case CONTAINER_PULL:
		add(ret, "pull");
		add_registry(ret, container, argument);
		add(ret, "--signature-policy=%s/policy.json", CONTAINER_RUNTIME);
		add(ret, "--retry=0");
		add(ret, "%s", image);
		break;
	case CONTAINER_NETWORK:
		add(ret, "container");
		add(ret, "inspect");
		add(ret, "--format={{.NetworkSettings.SandboxKey}}");
		add(ret, "%s", text(service, "name"));
		break;
	case CONTAINER_REMOVE:
		add(ret, "rm");
		add(ret, "--force");
		add(ret, "--ignore");
		add(ret, "--time=0");
		add(ret, "--volumes");
		add(ret, "%s", text(service, "name"));
		break;
	case CONTAINER_CHECK:
	case CONTAINER_REPAIR:
		add(ret, "system");
		add(ret, "check");
		add(ret, "--quick");
		if (ask == CONTAINER_REPAIR)
			add(ret, "--repair");
		break;
	case CONTAINER_CREATE:
		add(ret, "create");
		add(ret, "--name=%s", text(service, "name"));
		add(ret, "--pull=never");
		add(ret, "--network=none");
		add(ret, "%s", image);
		break;
	case CONTAINER_MOUNT:
		add(ret, "mount");
		add(ret, "%s", text(service, "name"));
		break;
	case CONTAINER_LIST:
		add(ret, "ps");
		add(ret, "--all");
		add(ret, "--no-trunc");
		add(ret, "--format={{.ID}} {{.Names}}");
		break;
	case CONTAINER_REMOVE_OTHER:
		add(ret, "rm");
		add(ret, "--volumes");
		add(ret, "%s", argument);
		break;
	case CONTAINER_IMAGES:
		add(ret, "image");
		add(ret, "ls");
		add(ret, "--no-trunc");
		add(ret, "--format={{with .ImageSummary}}= {{.ID}} {{.Size}}"
		    "{{range .RepoDigests}}{{println}}+ {{.}}{{end}}{{end}}");
		break;
	case CONTAINER_REMOVE_IMAGE:
		add(ret, "image");
		add(ret, "rm");
		add(ret, "%s", argument);
		break;
	case CONTAINER_RUN:
		add_run(ret, service, container, argument);
		break;
	}
}

void container_environment(struct json_object *service, struct container_words *ret)
{
	struct json_object *containers = key_member(service, "containers");

	memset(ret, 0, sizeof(*ret));
	add(ret, "PATH=%s", PATH_DEFAULT);
	add(ret, "HOME=%s", CONTAINER_RUNTIME);
	/* Layers on their way are large: /var/tmp, podman's own choice, is memory in this machine. */
	add(ret, "TMPDIR=%s/tmp/%s", json_object_get_string(key_member(containers, "storage")), text(service, "name"));
	add(ret, "CONTAINERS_CONF=%s/containers.conf", CONTAINER_RUNTIME);
	add(ret, "CONTAINERS_STORAGE_CONF=%s/storage.conf", CONTAINER_RUNTIME);
	add(ret, "CONTAINERS_REGISTRIES_CONF=%s/registries.conf", CONTAINER_RUNTIME);
	if (key_member(key_member(service, "ready"), "notify"))
		add(ret, "NOTIFY_SOCKET=%s", NOTIFY_SOCKET);
}

size_t container_registry(const char *image)
{
	return strcspn(image, "/");
}

/* containers/image 5.34: image/unparsed.go for a manifest, copy/digesting_reader.go for a layer or a configuration. */
bool container_is_mismatch(const char *line)
{
	return strstr(line, "does not match provided manifest digest") || strstr(line, "Digest did not match");
}
