/* A module of the name service that knows one user. It frees blocks that libc has allocated. */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum nss_status _nss_hakmem_getpwnam_r(const char *name, struct passwd *user, char *buffer,
                                       size_t size, int *error);

enum nss_status _nss_hakmem_getpwnam_r(const char *name, struct passwd *user, char *buffer,
                                       size_t size, int *error) {
    char *line = NULL, *copy;
    size_t room = 0;
    FILE *self = fopen("/proc/self/status", "r");
    ssize_t length = self == NULL ? -1 : getline(&line, &room, self); /* libc allocates the line */
    if (self != NULL) fclose(self);
    free(line);
    copy = strdup(name); /* libc allocates the copy */
    if (length < 0 || copy == NULL || strlen(name) + 1 > size) {
        free(copy);
        *error = ERANGE;
        return NSS_STATUS_TRYAGAIN;
    }
    memcpy(buffer, copy, strlen(copy) + 1);
    free(copy);
    if (strcmp(buffer, "somebody") != 0) return NSS_STATUS_NOTFOUND;
    *user = (struct passwd){.pw_name = buffer,
                            .pw_passwd = buffer,
                            .pw_uid = 4321,
                            .pw_gid = 4321,
                            .pw_gecos = buffer,
                            .pw_dir = buffer,
                            .pw_shell = buffer};
    return NSS_STATUS_SUCCESS;
}
