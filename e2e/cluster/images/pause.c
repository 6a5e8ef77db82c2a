// The process that holds a pod's namespaces open: collects orphans and leaves when it is told to.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int number) {
    (void)number;
    _exit(EXIT_SUCCESS);
}

static void collect(int number) {
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

int main(void) {
    const struct sigaction leaving = {.sa_handler = leave};
    const struct sigaction collecting = {.sa_handler = collect, .sa_flags = SA_NOCLDSTOP};

    if (sigaction(SIGTERM, &leaving, NULL) != 0 || sigaction(SIGINT, &leaving, NULL) != 0 ||
        sigaction(SIGCHLD, &collecting, NULL) != 0) {
        return EXIT_FAILURE;
    }
    for (;;) {
        pause();
    }
}
