/* Asks the name service for a user; only the module, if one is named.
 *
 * usage: nss_user USER [MODULE] */
#include <nss.h>
#include <pwd.h>
#include <stdio.h>

int __nss_configure_lookup(const char *database, const char *service);

int main(int argc, char **argv) {
    if (argc > 2 && __nss_configure_lookup("passwd", argv[2]) != 0) return 2;
    const struct passwd *user = argc > 1 ? getpwnam(argv[1]) : NULL;
    printf("%s %d\n", user != NULL ? user->pw_name : "nobody",
           user != NULL ? (int)user->pw_uid : -1);
    return 0;
}
