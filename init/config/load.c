/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads boot.json in four steps, each of which may assume the one before: the scan (it is strict JSON, and
 * where each value stands), the parse, the check against the tables of keys, and the plan (names, needs,
 * circles, artifacts). It runs before PID 1's loop starts, and again only in gantryctl.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "check.h"
#include "init/lib/config.h"
#include "init/lib/words.h"
#include "load.h"
#include "plan.h"
#include "shutdown.h"

#define PREPARE_MORE_MS 240000	/* beside the pull: what podman answers from its storage, with a deadline each */

void config_free(struct config *config)
{
	if (!config)
		return;
	pool_free(&config->pool);
	free(config->nodes);
	free(config);
}

/* A copy of string in *ret; NULL stays NULL. */
static int copy_string(struct pool *pool, const char *string, char **ret)
{
	if (!string)
		return 0;
	*ret = pool_copy(pool, string);
	return *ret ? 0 : -ENOMEM;
}

/* The object as compact JSON; an absent one as `absent`, which may be NULL. */
static int copy_json(struct pool *pool, struct json_object *object, const char *absent, char **ret)
{
	return copy_string(pool, object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
									 JSON_C_TO_STRING_NOSLASHESCAPE) : absent, ret);
}

static int copy_pairs(struct pool *pool, struct json_object *map, struct config_pair **ret, size_t *ret_n)
{
	if (!map || !json_object_object_length(map))
		return 0;
	*ret = pool_take(pool, (size_t)json_object_object_length(map) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	json_object_object_foreach(map, name, value) {
		struct config_pair *pair = &(*ret)[(*ret_n)++];

		if (copy_string(pool, name, &pair->name) < 0 ||
		    copy_string(pool, json_object_get_string(value), &pair->value) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int64_t milliseconds(struct json_object *object, const struct keys *keys, const char *name)
{
	return (int64_t)(key_number(object, keys, name) * 1000 + 0.5);
}

static int index_of(const char *value, const char *const *names)
{
	int i = 0;

	while (names[i] && strcmp(names[i], value))
		i++;
	return i;
}

static int fill_stage(struct pool *pool, struct config_node *node, struct json_object *object)
{
	struct json_object *deadline = key_member(object, "deadline_s");
	struct json_object *retry = key_member(object, "retry");
	struct json_object *limit = key_member(retry, "limit");

	node->kind = NODE_STAGE;
	node->stage = stage_find(json_object_get_string(key_member(object, "type")));
	node->when = strcmp(key_string(object, &stage_keys, "when"), "held") ? WHEN_BOOT : WHEN_HELD;
	node->required = key_boolean(object, &stage_keys, "required");
	node->deadline_ms = deadline ? milliseconds(object, &stage_keys, "deadline_s")
				     : node->stage->deadline_s * 1000LL;
	node->retry_min_ms = milliseconds(retry, &retry_keys, "min_s");
	node->retry_max_ms = milliseconds(retry, &retry_keys, "max_s");
	node->retry_limit = limit ? (unsigned)json_object_get_int64(limit) : node->stage->retry_limit;
	node->enabled = true;
	return copy_json(pool, key_member(object, "options"), "{}", &node->json);
}

/* What is launched for a probe: the service with another command, and without what is done once for each start. */
static int copy_probe(struct pool *pool, struct json_object *service, struct json_object *command, char **ret)
{
	static const char *const not[] = {"before_start", "when_ready", "ready", "watchdog", "container", "log",
					  "cgroup"};
	struct json_object *probe = NULL;
	int r = json_object_deep_copy(service, &probe, NULL) < 0 ? -ENOMEM : 0;

	for (size_t i = 0; r == 0 && i < sizeof(not) / sizeof(not[0]); i++)
		json_object_object_del(probe, not[i]);
	if (r == 0 && json_object_object_add(probe, "command", json_object_get(command)) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = copy_json(pool, probe, NULL, ret);
	json_object_put(probe);
	return r;
}

static int fill_watchdog(struct pool *pool, struct config_node *node, struct json_object *service)
{
	struct json_object *watchdog = key_member(service, "watchdog"), *command = key_member(watchdog, "exec");

	if (!watchdog)
		return 0;
	if (!command) {
		node->alive_ms = milliseconds(watchdog, &watchdog_keys, "notify_s");
		return 0;
	}
	node->health_interval_ms = milliseconds(watchdog, &watchdog_keys, "interval_s");
	node->health_timeout_ms = milliseconds(watchdog, &watchdog_keys, "timeout_s");
	node->health_failures = (unsigned)key_number(watchdog, &watchdog_keys, "failures");
	return copy_probe(pool, service, command, &node->health_json);
}

static int fill_ready(struct pool *pool, struct config_node *node, struct json_object *service)
{
	struct json_object *ready = key_member(service, "ready");
	struct json_object *path = key_member(ready, "path"), *tcp = key_member(ready, "tcp");
	struct json_object *command = key_member(ready, "exec"), *fd = key_member(ready, "fd");
	char host[64];

	if (path) {
		node->ready = READY_PATH;
		return copy_string(pool, json_object_get_string(path), &node->ready_path);
	}
	if (tcp) {
		node->ready = READY_TCP;
		if (!address_split(json_object_get_string(tcp), host, sizeof(host), &node->ready_port))
			return -EINVAL;
		return copy_string(pool, host, &node->ready_address);
	}
	if (command) {
		node->ready = READY_EXEC;
		node->ready_interval_ms = milliseconds(ready, &ready_keys, "interval_s");
		node->ready_timeout_ms = milliseconds(ready, &ready_keys, "timeout_s");
		return copy_probe(pool, service, command, &node->ready_json);
	}
	node->ready_fd = json_object_get_int(fd);
	node->ready = fd ? READY_FD : key_member(ready, "notify") ? READY_NOTIFY : ready ? READY_EXIT : READY_STARTED;
	return 0;
}

static size_t count(struct json_object *array)
{
	return array ? json_object_array_length(array) : 0;
}

static int fill_change(struct pool *pool, struct config_node *node, struct json_object *object)
{
	static const char *const actions[] = {"none", "signal", "restart", NULL};
	struct json_object *files = key_member(object, "files");

	if (!object)
		return 0;
	node->change_action = (enum change_action)index_of(key_string(object, &change_keys, "action"), actions);
	node->change_signal = signal_number(key_string(object, &change_keys, "signal"));
	node->change_files = pool_take(pool, (count(files) + 1) * sizeof(*node->change_files));
	if (!node->change_files)
		return -ENOMEM;
	for (size_t i = 0; i < count(files); i++) {
		char **file = &node->change_files[node->n_change_files++];

		if (copy_string(pool, json_object_get_string(json_object_array_get_idx(files, i)), file) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The launcher gets the machine's `containers` with the service's own object. */
static int fill_container(struct pool *pool, struct config_node *node, struct json_object *object,
		          struct json_object *containers)
{
	struct json_object *container = key_member(object, "container"), *login = key_member(container, "login");
	int r = login ? copy_string(pool, key_string(login, &login_keys, "artifact"), &node->takes) : 0;

	node->prepare_ms = milliseconds(container, &container_keys, "pull_deadline_s") + PREPARE_MORE_MS;
	if (r < 0)
		return r;
	if (containers && json_object_object_add(object, "containers", json_object_get(containers)) < 0)
		return -ENOMEM;
	r = copy_json(pool, object, NULL, &node->json);
	json_object_object_del(object, "containers");
	return r;
}

static int fill_service(struct pool *pool, struct config_node *node, struct json_object *object,
		        struct json_object *containers)
{
	static const char *const policies[] = {"always", "on-failure", "never", NULL};
	struct json_object *restart = key_member(object, "restart");
	int r;

	node->kind = NODE_SERVICE;
	node->when = WHEN_BOOT;
	node->required = key_boolean(object, &service_keys, "required");
	node->enabled = key_boolean(object, &service_keys, "enabled");
	node->ready_deadline_ms = milliseconds(object, &service_keys, "ready_deadline_s");
	node->restart = (enum restart_policy)index_of(key_string(restart, &restart_keys, "policy"), policies);
	node->retry_min_ms = milliseconds(restart, &restart_keys, "min_s");
	node->retry_max_ms = milliseconds(restart, &restart_keys, "max_s");
	node->retry_jitter_permille = (unsigned)(key_number(restart, &restart_keys, "jitter") * 1000 + 0.5);
	node->stable_ms = milliseconds(restart, &restart_keys, "stable_s");
	node->burst = (unsigned)key_number(restart, &restart_keys, "burst");
	node->burst_ms = milliseconds(restart, &restart_keys, "burst_s");
	node->burst_fails = !strcmp(key_string(restart, &restart_keys, "on_burst"), "fail");
	node->follows_needs = key_boolean(object, &service_keys, "follows_needs");
	node->stop_signal = signal_number(key_string(object, &service_keys, "stop_signal"));
	node->stop_grace_ms = milliseconds(object, &service_keys, "stop_grace_s");
	node->stop_all = strcmp(key_string(object, &service_keys, "stop_to"), "all") == 0;
	r = fill_ready(pool, node, object);
	if (r == 0)
		r = fill_watchdog(pool, node, object);
	if (r == 0 && node->enabled)	/* otherwise nothing switches it but a hand */
		r = copy_string(pool, json_object_get_string(key_member(object, "enabled_if")), &node->enabled_if);
	if (r == 0)
		r = fill_change(pool, node, key_member(object, "on_change"));
	if (r < 0)
		return r;
	r = copy_json(pool, key_member(object, "when_ready"), NULL, &node->when_ready);
	if (r < 0)
		return r;
	r = copy_pairs(pool, key_member(object, "cgroup"), &node->cgroup, &node->n_cgroup);
	if (r < 0)
		return r;
	return key_member(object, "container") ? fill_container(pool, node, object, containers) :
	       copy_json(pool, object, NULL, &node->json);
}

/* What a service says of its log, or else what `logs` says of all. */
static void fill_log(struct config_node *node, struct json_object *log, struct json_object *logs)
{
	node->log_max_bytes = (int64_t)(key_member(log, "max_bytes") ? key_number(log, &service_log_keys, "max_bytes") :
					key_number(logs, &logs_keys, "max_bytes"));
	node->log_files = (unsigned)(key_member(log, "files") ? key_number(log, &service_log_keys, "files") :
				     key_number(logs, &logs_keys, "files"));
	node->log_json = !strcmp(key_string(log, &service_log_keys, "format"), "json");
	node->log_events = key_boolean(log, &service_log_keys, "events");
}

static int fill_nodes(struct config *config, struct json_object *root)
{
	struct json_object *stages = key_member(root, "stages"), *services = key_member(root, "services");
	struct pool *pool = &config->pool;
	size_t n_stages = count(stages), n = n_stages + count(services);

	config->nodes = calloc(n ? n : 1, sizeof(*config->nodes));
	if (!config->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct config_node *node = &config->nodes[config->n_nodes++];
		struct json_object *object = i < n_stages ? json_object_array_get_idx(stages, i)
							  : json_object_array_get_idx(services, i - n_stages);
		int r = copy_string(pool, json_object_get_string(key_member(object, "name")), &node->name);

		if (r == 0)
			r = i < n_stages ? fill_stage(pool, node, object)
					 : fill_service(pool, node, object, key_member(root, "containers"));
		if (i >= n_stages)
			fill_log(node, key_member(object, "log"), key_member(root, "logs"));
		if (r < 0)
			return r;
		node->json_size = strlen(node->json);
	}
	return 0;
}

/* "/bin/sh -c reboot", for people. */
static int copy_words(struct pool *pool, struct json_object *command, char **ret)
{
	size_t n = count(command), size = 1;
	char *at;

	for (size_t i = 0; i < n; i++)
		size += strlen(json_object_get_string(json_object_array_get_idx(command, i))) + 1;
	*ret = pool_take(pool, size);
	if (!*ret)
		return -ENOMEM;
	at = *ret;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*at++ = ' ';
		at = stpcpy(at, json_object_get_string(json_object_array_get_idx(command, i)));
	}
	return 0;
}

static int fill_action(struct pool *pool, struct config_action *action, struct json_object *object)
{
	const char *verb = json_object_get_string(key_member(object, "verb")), *target = "";
	int r = copy_string(pool, json_object_get_string(key_member(object, "name")), &action->name);

	action->deadline_ms = milliseconds(object, &action_keys, "deadline_s");
	if (r < 0)
		return r;
	if (!verb)
		return copy_words(pool, key_member(object, "command"), &action->words) < 0 ? -ENOMEM :
		       copy_json(pool, object, NULL, &action->json);
	action->verb = verb_parse(verb, &target);
	r = copy_string(pool, verb, &action->words);
	return r < 0 || !*target ? r : copy_string(pool, target, &action->target);
}

static int fill_upload(struct pool *pool, struct config_upload *upload, struct json_object *object)
{
	upload->max_bytes = (int64_t)key_number(object, &upload_keys, "max_bytes");
	return copy_string(pool, json_object_get_string(key_member(object, "name")), &upload->name) < 0 ? -ENOMEM :
	       copy_string(pool, json_object_get_string(key_member(object, "path")), &upload->path);
}

static int fill_api(struct config *config, struct json_object *api)
{
	struct json_object *actions = key_member(api, "actions"), *uploads = key_member(api, "uploads");
	struct pool *pool = &config->pool;
	int r = copy_json(pool, api, NULL, &config->api_json);

	config->actions = pool_take(pool, (count(actions) + 1) * sizeof(*config->actions));
	config->uploads = pool_take(pool, (count(uploads) + 1) * sizeof(*config->uploads));
	if (!config->actions || !config->uploads)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < count(actions); i++)
		r = fill_action(pool, &config->actions[config->n_actions++], json_object_array_get_idx(actions, i));
	for (size_t i = 0; r == 0 && i < count(uploads); i++)
		r = fill_upload(pool, &config->uploads[config->n_uploads++], json_object_array_get_idx(uploads, i));
	return r;
}

static int fill(struct config *config, struct json_object *root)
{
	static const char *const actions[] = {"hold", "reboot", "poweroff", NULL};
	struct json_object *held = key_member(root, "held"), *events = key_member(root, "events");
	struct json_object *watchdog = key_member(root, "watchdog");
	struct json_object *logs = key_member(root, "logs");
	struct pool *pool = &config->pool;

	config->held_action = (enum held_action)index_of(key_string(held, &held_keys, "action"), actions);
	config->held_delay_ms = milliseconds(held, &held_keys, "delay_s");
	config->watchdog_timeout_ms = milliseconds(watchdog, &hardware_keys, "timeout_s");
	if (watchdog && copy_string(pool, key_string(watchdog, &hardware_keys, "device"), &config->watchdog_device) < 0)
		return -ENOMEM;
	config->event_ring = (size_t)key_number(events, &events_keys, "ring");
	config->event_rate_per_s = (int64_t)key_number(events, &events_keys, "rate_per_s");
	config->event_burst = (int64_t)key_number(events, &events_keys, "burst");
	config->keep_unused_ms = milliseconds(key_member(root, "containers"), &containers_keys, "keep_unused_s");
	if (key_member(root, "refresh")) {
		config->refreshes = true;
		config->refresh_every_ms = milliseconds(key_member(root, "refresh"), &refresh_keys, "every_s");
		config->refresh_jitter = key_number(key_member(root, "refresh"), &refresh_keys, "jitter");
	}
	config->logs = logs != NULL;
	if (logs && (copy_json(pool, logs, NULL, &config->logs_json) < 0 ||
		     copy_string(pool, key_string(logs, &logs_keys, "directory"), &config->logs_directory) < 0 ||
		     copy_string(pool, key_string(logs, &logs_keys, "group"), &config->logs_group) < 0))
		return -ENOMEM;
	if (copy_string(pool, key_string(root, &config_keys, "hostname"), &config->hostname) < 0 ||
	    copy_string(pool, key_string(events, &events_keys, "fifo"), &config->fifo) < 0 ||
	    fill_api(config, key_member(root, "api")) < 0 ||
	    copy_json(pool, key_member(root, "log"), NULL, &config->log_json) < 0 ||
	    copy_pairs(pool, key_member(root, "sysctls"), &config->sysctls, &config->n_sysctls) < 0)
		return -ENOMEM;
	return fill_nodes(config, root);
}

/* The place of a value of the scan, for errors of the scan itself: there are no objects yet. */
static void scan_place(const struct jsonpos *pos, uint32_t value, char *text, size_t size)
{
	const struct jsonpos_value *at = &pos->values[value];
	size_t n;

	text[0] = '\0';
	if (!value)
		return;
	scan_place(pos, at->parent, text, size);
	n = strlen(text);
	if (at->key_size == UINT32_MAX)
		snprintf(text + n, size - n, "[%u]", at->index);
	else
		snprintf(text + n, size - n, "%s%.*s", n ? "." : "", (int)(at->key_size > 64 ? 64 : at->key_size),
			 pos->text + at->key);
}

static int scan_failed(const char *name, const struct jsonpos *pos, char *error, size_t error_size)
{
	char place[256] = "";

	if (pos->n_values)
		scan_place(pos, pos->error_value, place, sizeof(place));
	snprintf(error, error_size, "%s:%u: %s: %s", name, pos->error_line, place[0] ? place : "top level",
		 pos->error);
	return -EINVAL;
}

static int parse(struct check *check, const char *text, size_t size, struct config *config)
{
	static const struct place top;
	struct json_tokener *tokener = json_tokener_new_ex(JSONPOS_DEPTH_MAX + 1);
	int r;

	if (!tokener)
		return -ENOMEM;
	/* The scan was stricter than JSON_TOKENER_STRICT, which in json-c 0.18 refuses every byte beyond ASCII. */
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	check->root = json_tokener_parse_ex(tokener, text, (int)size + 1);	/* with its NUL */
	if (json_tokener_get_error(tokener) != json_tokener_success)
		r = check_fail(check, &top, "%s", json_tokener_error_desc(json_tokener_get_error(tokener)));
	else if (!json_object_is_type(check->root, json_type_object))
		r = check_fail(check, &top, "must be an object");
	else
		r = check_object(check, &top, check->root, &config_keys);
	if (r == 0)
		r = fill(config, check->root);
	if (r == 0)
		r = config_plan(check, config);
	if (r == 0 && check->image_fd >= 0)
		r = check_image(check);
	if (r == 0)
		r = config_shutdown(check, config);
	json_object_put(check->root);
	json_tokener_free(tokener);
	return r;
}

static int parse_for(int image_fd, const char *name, const char *text, size_t size, struct config **ret, char *error,
		     size_t error_size)
{
	struct config *config = calloc(1, sizeof(*config));
	char *copy = malloc(size + 1);
	struct jsonpos pos = {0};
	struct check check = {.file = name, .pos = &pos, .image_fd = image_fd, .error = error,
			      .error_size = error_size};
	int r = -ENOMEM;

	if (error_size)
		error[0] = '\0';
	if (config && copy) {
		memcpy(copy, text, size);
		copy[size] = '\0';
		r = jsonpos_scan(&pos, copy, size);
		if (r == -EINVAL)
			scan_failed(name, &pos, error, error_size);
		else if (r == 0)
			r = parse(&check, copy, size, config);
	}
	if (r < 0 && error_size && !error[0])
		snprintf(error, error_size, "%s: %s", name, error_words(-r));
	if (r == 0)
		*ret = config;
	else
		config_free(config);
	jsonpos_deinit(&pos);
	free(copy);
	return r;
}

int config_parse(const char *name, const char *text, size_t size, struct config **ret, char *error, size_t error_size)
{
	return parse_for(-1, name, text, size, ret, error, error_size);
}

/* The whole file in *ret, to be freed; its size, -EFBIG, or what open and read say. */
static ssize_t read_file(const char *path, char **ret)
{
	size_t size = 0;
	char *text = malloc(CONFIG_SIZE_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -errno : text ? 0 : -ENOMEM;

	while (n == 0 && size <= CONFIG_SIZE_MAX) {
		ssize_t got = read(fd, text + size, CONFIG_SIZE_MAX + 1 - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			n = -errno;
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	if (n == 0 && size > CONFIG_SIZE_MAX)
		n = -EFBIG;
	if (n < 0) {
		free(text);
		return n;
	}
	*ret = text;
	return (ssize_t)size;
}

int config_load_for(int image_fd, const char *path, struct config **ret, char *error, size_t error_size)
{
	char *text = NULL;
	ssize_t size = read_file(path, &text);
	int r;

	if (size < 0) {
		if (size == -EFBIG)
			snprintf(error, error_size, "%s: larger than %u bytes", path, CONFIG_SIZE_MAX);
		else
			snprintf(error, error_size, "%s: %s", path, error_words((int)-size));
		return (int)size;
	}
	r = parse_for(image_fd, path, text, (size_t)size, ret, error, error_size);
	free(text);
	return r;
}

int config_load(const char *path, struct config **ret, char *error, size_t error_size)
{
	return config_load_for(-1, path, ret, error, error_size);
}
