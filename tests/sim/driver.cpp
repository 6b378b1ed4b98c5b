// The simulated device's driver, libcuda.so.1: the backend only looks whether one is there.
extern "C" const char* const ft_simulated_driver = "no functions: nothing here calls the driver";
